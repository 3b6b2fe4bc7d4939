"""From a verified webhook to the record that it becomes: a report, a text, or a dead letter where it names nothing."""

from itertools import count

import msgspec

from app import clock
from app.config.tenants import Tenant
from app.domain.content.keywords import Classification, read_intent
from app.domain.content.phone import read_address
from app.domain.model.inputs import DeliveryReported, TextArrived
from app.domain.model.vocabulary import Intent
from app.ingress.durable.record import LogRecord
from app.ingress.webhooks.routes import Kind
from app.provider.callbacks import Fields, InboundText, UnmatchedReport, read_report, read_text
from app.provider.webhook_forms import read_query
from app.records.dead_letters import LostRecord, dead_letter
from app.records.inbound_text import ArrivedText, InboundTextBuilder
from app.records.requests import MESSAGE_ID
from app.records.seal import Sealer
from app.records.topics import Topics
from app.records.webhooks import RawWebhook

_encode = msgspec.json.Encoder().encode


class VerifiedWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that Twilio signed. `token`: the idempotency token of its event, or ""; `raw`: as it came."""

    kind: Kind
    tenant: Tenant
    fields: Fields
    query: str
    token: str
    raw: RawWebhook

    def __repr__(self) -> str:
        return "<Verified>"


class WebhookRecords:
    """Makes the record of a verified webhook."""

    def __init__(self, sealer: Sealer, topics: Topics, key: bytes, pk: str) -> None:
        self._sealer, self._topics, self._pk = sealer, topics, pk
        self._texting = InboundTextBuilder(sealer, key)
        self._born, self._made = clock.new_id()[:20], count()

    def report(self, came: VerifiedWebhook) -> LogRecord:
        """Of a status callback."""
        tenant, query, at_ms = came.tenant.name, _query(came.query), clock.now_ms()
        report = read_report(came.fields, query, at_ms, came.tenant.invalid_after)
        if isinstance(report, UnmatchedReport):
            return self._letter(came, report)
        if not MESSAGE_ID.match(report.message_id):
            return self._letter(came, UnmatchedReport("m", "names no message of ours"))
        value = DeliveryReported(
            id=self._id(),
            tenant=tenant,
            pk=self._pk,
            at=at_ms,
            message_id=report.message_id,
            attempt=report.attempt,
            sid=report.sid,
            progress=report.progress,
            status=report.status,
            code=report.code,
            error=report.error,
            carrier_done=report.carrier_done,
            invalid_after=report.invalid_after,
            hold_until_ms=report.hold_until_ms,
            token=came.token,
            raw=self._sealer.seal(_encode(came.raw), tenant, report.sid),
        )
        contact = report.message_id.partition("-")[0]
        return LogRecord(self._topics.contacts, contact.encode(), _encode(value))

    def text(self, came: VerifiedWebhook) -> tuple[LogRecord, str]:
        """Of an inbound text, and what is replied to it, or ""."""
        text, tenant = read_text(came.fields), came.tenant
        if isinstance(text, UnmatchedReport):
            return self._letter(came, text), ""
        reading = read_intent(text.body, text.opt_out_type, tenant.stop_words)
        # With Advanced Opt-Out (OptOutType is there) Twilio has replied already.
        ours = reading.intent is Intent.HELP and tenant.keyword_replies == "heliograph" and not text.opt_out_type
        ours = ours and tenant.may_text(read_address(text.sender).canonical)
        contact, value = self._texted(came, text, reading, ours)
        return LogRecord(self._topics.contacts, contact.encode(), _encode(value)), tenant.help_text if ours else ""

    def _texted(
        self, came: VerifiedWebhook, text: InboundText, reading: Classification, ours: bool
    ) -> tuple[str, TextArrived]:
        seen = ArrivedText(
            sid=text.sid,
            person=text.sender,
            to=text.to,
            body=text.body,
            at_ms=clock.now_ms(),
            media=text.media,
            media_count=len(text.media),
            opt_out_type=text.opt_out_type,
            service=text.service,
            token=came.token,
            raw=_encode(came.raw),
        )
        return self._texting.input(self._id(), came.tenant.name, seen, reading, ours=ours)

    def _id(self) -> str:
        """32 hex digits: 20 of chance at the start of the process, and a count; chance for each costs a system call."""
        return f"{self._born}{next(self._made):012x}"

    def _letter(self, came: VerifiedWebhook, why: UnmatchedReport) -> LogRecord:
        """Signed, and we cannot place it: kept as a dead letter."""
        raw = _encode({"tenant": came.tenant.name, "query": came.query, "form": came.fields})
        place = clock.new_id()
        lost = LostRecord("ingress", place, None, raw, clock.now_ms())
        value, made = dead_letter(self._sealer, lost, why.field, why.rule)
        return LogRecord(self._topics.deadletters, f"ingress-{place}".encode(), value, made)


def _query(raw: str) -> dict[str, str]:
    """Signed, so Twilio's echo of our own; what is no UTF-8 names nothing of ours."""
    try:
        return dict(read_query(raw))
    except UnicodeDecodeError:
        return {}
