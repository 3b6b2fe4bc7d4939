"""Twilio's webhooks: verified, parsed, on the log, answered. Raw ASGI: this is the hot path.

204 to a status callback, TwiML to an inbound text; 403 for a bad signature; 503 only when neither Kafka nor the spool
takes the record (Twilio retries then, as our URLs ask); never 429, never text/plain (Twilio would text it).
"""

import hashlib
from collections import Counter
from typing import Any

import msgspec

from app import clock, telemetry
from app.domain.inputs import Reported, Texted
from app.domain.keywords import Reading, read_intent
from app.domain.phone import read_address
from app.domain.words import Intent
from app.ingress.answers import EMPTY_TWIML, NO_CONTENT, Answer, problem, send_answer, twiml
from app.ingress.hooks import Hook, Hooks, Kind, read_path
from app.ingress.log import Log, Unavailable
from app.ingress.record import Record
from app.provider.callbacks import Fields, Text, Unplaced, read_report, read_text
from app.provider.webhooks import MAX_BODY_BYTES, BadForm, digest_of, read_form, read_query, verified
from app.records.deadletters import Lost, dead_letter
from app.records.requests import MESSAGE_ID
from app.records.seal import Sealer
from app.records.texting import Came, Texting
from app.records.topics import Topics
from app.tenants import Tenant

_log = telemetry.logger(__name__)
_encode = msgspec.json.Encoder().encode
FORM = b"application/x-www-form-urlencoded"


class Webhooks:
    """POST /twilio/... `answered` counts answers by kind and HTTP status."""

    def __init__(self, hooks: Hooks, log: Log, sealer: Sealer, topics: Topics, key: bytes, pk: str) -> None:
        self._hooks, self._log, self._sealer, self._topics = hooks, log, sealer, topics
        self._texting, self._pk = Texting(sealer, key), pk
        self.answered: Counter[tuple[str, int]] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI app of every path under /twilio/."""
        if (found := read_path(scope["path"])) is None:
            await send_answer(send, problem(404, "there is no such webhook"))
            return
        try:
            answer = await self._answer(found, scope, receive)
        except BadForm as bad:
            answer = problem(bad.status, bad.rule)
        except Unavailable:
            answer = problem(503, "neither Kafka nor the spool takes it")
        except Exception:
            self.answered[found[0], 500] += 1
            await send_answer(send, problem(500, "a fault of ours"))
            raise
        self.answered[found[0], answer[0]] += 1
        await send_answer(send, answer)

    async def _answer(self, found: tuple[Kind, str], scope: Any, receive: Any) -> Answer:
        if scope["method"] != "POST":
            return problem(405, "POST only")
        headers, (kind, name) = dict(scope["headers"]), found
        if not (given := headers.get(b"x-twilio-signature", b"").decode("latin-1")):
            return _rejected(kind, "no signature", b"")
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != FORM:
            return problem(415, f"{FORM.decode()} only")
        body, query = await _body(receive), scope["query_string"]
        form = read_form(body)
        fields = dict(form)
        hook = self._hooks.find(name, fields.get("AccountSid", ""))
        if hook is None:
            return _rejected(kind, "no such tenant", body)
        digest = digest_of(headers.get(b"x-twilio-webhooks-signature-settings", b"").decode("latin-1"))
        if not verified(hook.secrets, given, hook.signed_urls(kind, query), form, digest):
            return _rejected(kind, "signature" if hook.urls[kind] else "no public URL is set", body, hook)
        if kind is Kind.STATUS:
            return await self._report(hook.tenant, fields, _query(query))
        return await self._text(hook.tenant, fields)

    async def _report(self, tenant: Tenant, fields: Fields, query: dict[str, str]) -> Answer:
        at_ms = clock.now_ms()
        report = read_report(fields, query, at_ms)
        if isinstance(report, Unplaced):
            return await self._keep(tenant, fields, query, report)
        if not MESSAGE_ID.match(report.message_id):
            return await self._keep(tenant, fields, query, Unplaced("m", "names no message of ours"))
        value = Reported(
            id=clock.new_id(),
            tenant=tenant.name,
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
        )
        contact = report.message_id.partition("-")[0]
        await self._log.put(Record(self._topics.contacts, contact.encode(), _encode(value)))
        return NO_CONTENT

    async def _keep(self, tenant: Tenant, fields: Fields, query: dict[str, str], why: Unplaced) -> Answer:
        """A signed callback that we cannot place: kept as a dead letter."""
        raw, place = _encode({"tenant": tenant.name, "query": query, "form": fields}), clock.new_id()
        lost = Lost("ingress", place, None, raw, clock.now_ms())
        value, made = dead_letter(self._sealer, lost, why.field, why.rule)
        await self._log.put(Record(self._topics.deadletters, f"ingress-{place}".encode(), value, made))
        return NO_CONTENT

    async def _text(self, tenant: Tenant, fields: Fields) -> Answer:
        text = read_text(fields)
        if isinstance(text, Unplaced):
            await self._keep(tenant, fields, {}, text)
            return EMPTY_TWIML
        reading = read_intent(text.body, text.opt_out_type, tenant.stop_words)
        # With Advanced Opt-Out (OptOutType is there) Twilio has replied already.
        ours = reading.intent is Intent.HELP and tenant.keyword_replies == "heliograph" and not text.opt_out_type
        ours = ours and tenant.may_text(read_address(text.sender).canonical)
        contact, value = self._texted(tenant, text, reading, ours)
        await self._log.put(Record(self._topics.contacts, contact.encode(), _encode(value)))
        return twiml(tenant.help_text) if ours else EMPTY_TWIML

    def _texted(self, tenant: Tenant, text: Text, reading: Reading, ours: bool) -> tuple[str, Texted]:
        came = Came(
            sid=text.sid,
            person=text.sender,
            to=text.to,
            body=text.body,
            at_ms=clock.now_ms(),
            media=text.media,
            media_count=len(text.media),
            opt_out_type=text.opt_out_type,
            service=text.service,
        )
        return self._texting.input(clock.new_id(), tenant.name, came, reading, ours=ours)


def _rejected(kind: Kind, why: str, body: bytes, hook: Hook | None = None) -> Answer:
    digest = hashlib.sha256(body).hexdigest()[:16]
    tenant = hook.tenant.name if hook else ""
    _log.warning("webhook.rejected", kind=kind, why=why, tenant=tenant, bytes=len(body), body_sha256=digest)
    return problem(403, "the signature is not valid for the configured URL")


def _query(raw: bytes) -> dict[str, str]:
    """Signed, so Twilio's echo of our own; what is no UTF-8 names nothing of ours."""
    try:
        return dict(read_query(raw.decode("ascii")))
    except UnicodeDecodeError:
        return {}


async def _body(receive: Any) -> bytes:
    """The whole body, refused once it is too long."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadForm(400, "the connection closed before the body ended")
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            raise BadForm(413, f"body is longer than {MAX_BODY_BYTES} bytes")
        if not message.get("more_body"):
            return body
