"""Twilio's webhooks: verified, parsed, on the log, answered. Raw ASGI: this is the hot path.

204 to a status callback, TwiML to an inbound text; 403 for a bad signature; 503 only when neither Kafka nor the spool
takes the record (Twilio retries then, as our URLs ask); never 429, never text/plain (Twilio would text it).
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urldefrag

import msgspec

from app import clock, telemetry
from app.domain.identity import contact_id
from app.domain.inputs import Reported, Texted
from app.domain.keywords import read_intent
from app.domain.phone import read_address
from app.domain.words import Intent
from app.ingress.log import Log, Unavailable
from app.ingress.spool import Record
from app.provider.webhooks import MAX_BODY_BYTES, BadForm, read_form, verified
from app.provider.words import PROGRESS, error_class
from app.records.deadletters import dead_letter
from app.records.requests import MESSAGE_ID
from app.records.seal import Content, Sealer
from app.records.topics import Topics
from app.tenants import Tenant

_log = telemetry.logger(__name__)
_encode = msgspec.json.Encoder().encode
Answer = tuple[int, bytes, bytes]

NO_CONTENT: Answer = (204, b"", b"")
EMPTY_TWIML: Answer = (200, b'<?xml version="1.0" encoding="UTF-8"?><Response/>', b"text/xml")


def problem(status: int, rule: str) -> Answer:
    """RFC 9457."""
    body = {"type": "about:blank", "title": rule, "status": status}
    return status, _encode(body), b"application/problem+json"


class Webhooks:
    """Handlers of /twilio/*. `counts` are read by the internal port."""

    def __init__(
        self, tenants: Mapping[str, Tenant], log: Log, sealer: Sealer, topics: Topics, key: bytes, pk: str
    ) -> None:
        self._tenants, self._log, self._sealer, self._topics = tenants, log, sealer, topics
        self._key, self._pk = key, pk
        self._by_account = {tenant.account_sid: tenant for tenant in tenants.values() if tenant.account_sid}
        self._secrets = {n: tuple("".join(token) for token in t.auth_tokens) for n, t in tenants.items()}
        self.counts: dict[str, int] = {"verified": 0, "rejected": 0, "bad": 0, "unavailable": 0}

    async def status(self, scope: Any, receive: Any, send: Any) -> None:
        """POST /twilio/status."""
        await self._handle(scope, receive, send, self._report)

    async def inbound(self, scope: Any, receive: Any, send: Any) -> None:
        """POST /twilio/inbound, and /twilio/fallback for what failed there."""
        await self._handle(scope, receive, send, self._text)

    async def _handle(self, scope: Any, receive: Any, send: Any, act: Any) -> None:
        headers = dict(scope["headers"])
        try:
            answer = await self._verified(scope, receive, headers, act)
        except BadForm as bad:
            self.counts["bad"] += 1
            answer = problem(bad.status, bad.rule)
        except Unavailable:
            self.counts["unavailable"] += 1
            answer = problem(503, "neither Kafka nor the spool takes it")
        await _answer(send, answer)

    async def _verified(self, scope: Any, receive: Any, headers: dict[bytes, bytes], act: Any) -> Answer:
        if scope["method"] != "POST":
            return problem(405, "POST only")
        given = headers.get(b"x-twilio-signature", b"").decode("latin-1")
        if not given:
            return self._rejected(b"", "no signature")
        if not headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
            return problem(415, "application/x-www-form-urlencoded only")
        body = await _body(receive)
        form = read_form(body)
        fields = dict(form)
        tenant = self._tenant(scope, fields)
        query = scope["query_string"]
        if tenant is None or not verified(self._secrets[tenant.name], given, _url(scope, tenant, query), form):
            return self._rejected(body, "signature")
        self.counts["verified"] += 1
        answer: Answer = await act(tenant, fields, dict(parse_qsl(query.decode("latin-1"))))
        return answer

    def _tenant(self, scope: Any, fields: Mapping[str, str]) -> Tenant | None:
        named = scope.get("path_params", {}).get("tenant")
        return self._tenants.get(named) if named else self._by_account.get(fields.get("AccountSid", ""))

    def _rejected(self, body: bytes, why: str) -> Answer:
        self.counts["rejected"] += 1
        _log.warning("webhook.rejected", why=why, body_sha256=hashlib.sha256(body).hexdigest()[:16], bytes=len(body))
        return problem(403, "the signature is not valid for the configured URL")

    async def _report(self, tenant: Tenant, fields: Mapping[str, str], query: Mapping[str, str]) -> Answer:
        message, attempt = query.get("m", ""), query.get("a", "")
        status = fields.get("MessageStatus") or fields.get("SmsStatus", "")
        sid = fields.get("MessageSid") or fields.get("SmsSid", "")
        progress = PROGRESS.get(status.lower())
        if not MESSAGE_ID.match(message) or not attempt.isdigit() or not sid or progress is None:
            return await self._keep(fields, "m" if progress is not None else "MessageStatus")
        code = int(fields["ErrorCode"]) if fields.get("ErrorCode", "").isdigit() else None
        value = Reported(
            id=clock.new_id(),
            tenant=tenant.name,
            pk=self._pk,
            at=clock.now_ms(),
            message_id=message,
            attempt=int(attempt[:6]),
            sid=sid,
            progress=progress,
            status=status,
            code=code,
            error=error_class(code) if code is not None else None,
            carrier_done=fields.get("RawDlrDoneDate", ""),
        )
        await self._log.put(Record(self._topics.contacts, message.partition("-")[0].encode(), _encode(value)))
        return NO_CONTENT

    async def _keep(self, fields: Mapping[str, str], field: str) -> Answer:
        """A signed callback that we cannot place: kept as a dead letter."""
        fault = (field, "names no attempt of ours" if field == "m" else "is not a status that we know")
        raw = _encode(dict(fields))
        value = dead_letter(self._sealer, "ingress", clock.new_id(), None, raw, fault, clock.now_ms())
        await self._log.put(Record(self._topics.deadletters, b"ingress", value))
        return NO_CONTENT

    async def _text(self, tenant: Tenant, fields: Mapping[str, str], _query: Mapping[str, str]) -> Answer:
        address = read_address(fields.get("From", ""))
        sid = fields.get("MessageSid") or fields.get("SmsSid", "")
        kind, body = fields.get("OptOutType", ""), fields.get("Body", "")
        reading = read_intent(body, kind, tenant.stop_words)
        ours = reading.intent is Intent.HELP and tenant.keyword_replies == "heliograph" and not kind
        media = tuple(fields[f"MediaUrl{n}"] for n in range(10) if f"MediaUrl{n}" in fields)
        contact = contact_id(self._key, tenant.name, address.canonical)
        content = Content(address.canonical, body, media, fields.get("To", ""))
        known = reading.intent is not Intent.NONE
        value = Texted(
            id=clock.new_id(),
            tenant=tenant.name,
            pk=self._pk,
            at=clock.now_ms(),
            sid=sid,
            intent=reading.intent,
            sealed=self._sealer.seal_content(content, tenant.name, sid),
            masked=address.masked,
            keyword=reading.keyword if known else "",
            arguments_count=len(reading.arguments),
            opt_out_type=kind,
            sender=fields.get("MessagingServiceSid", ""),
            country=address.country,
            answered_by="heliograph" if ours else "twilio" if known else "",
            media_count=len(media),
        )
        await self._log.put(Record(self._topics.contacts, contact.encode(), _encode(value)))
        return _twiml(tenant.help_text) if ours else EMPTY_TWIML


def _twiml(text: str) -> Answer:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = f'<?xml version="1.0" encoding="UTF-8"?><Response><Message>{escaped}</Message></Response>'
    return 200, body.encode(), b"text/xml"


def _url(scope: Any, tenant: Tenant, query: bytes) -> str:
    """The configured public URL of this route, with the raw query; the Host header is never asked."""
    path = scope["path"].rstrip("/")
    public = urldefrag(tenant.status_callback_url if path.endswith("/status") else tenant.inbound_url)[0]
    if path.endswith("/fallback"):
        public = public.replace("/inbound", "/fallback")
    if not query:
        return public
    return f"{public}{'&' if '?' in public else '?'}{query.decode('latin-1')}"


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


async def _answer(send: Any, answer: Answer) -> None:
    status, body, kind = answer
    headers = [(b"content-length", str(len(body)).encode())] if status != 204 else []
    if kind:
        headers.append((b"content-type", kind))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
