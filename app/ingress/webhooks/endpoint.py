"""Twilio's webhooks: verify, parse, write to the log, then answer. Raw ASGI, because this is the hot path.

A status callback is answered with 204, an inbound text with TwiML, a bad signature with 403. 503 is answered only when
neither Kafka nor the spool takes the record; Twilio then retries, as the connection overrides of our URLs request.
Never 429, and never text/plain, which Twilio would send to the person as a text.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from app.errors import HeliographError
from app.ingress.durable.record import LogRecord
from app.ingress.durable.writer import LogUnavailableError, LogWriter
from app.ingress.http.responses import EMPTY_TWIML, NO_CONTENT, Answer, problem, send_answer, twiml
from app.ingress.webhooks.diagnosis import RefusedWebhook
from app.ingress.webhooks.records import VerifiedWebhook, WebhookRecords
from app.ingress.webhooks.rejections import RejectionReason, Rejections
from app.ingress.webhooks.routes import Kind, WebhookRoute, WebhookRoutes, read_path
from app.provider.webhook_forms import (
    MAX_BODY_BYTES,
    MAX_QUERY_BYTES,
    Form,
    WebhookFormError,
    fields_of,
    read_form,
    read_json,
)
from app.provider.webhooks import settings_of, verified, verified_json
from app.records.webhooks import RawWebhook

FORM, JSON = b"application/x-www-form-urlencoded", b"application/json"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
REMEMBERED = 4096
SETTINGS = b"x-twilio-webhooks-signature-settings"
WRONG = problem(403, "the signature is not valid for the configured URL")
# Headers that name the URL for which a request was meant. Used for diagnosis only, never to verify.
TOLD = (b"host", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix")

Headers = Mapping[bytes, bytes]


class ClientGoneError(HeliographError):
    """The connection ended, or was ended (`connections`), before its request was whole: nobody is left to answer."""


class WebhookEndpoint:
    """The ASGI app of POST /twilio/... `answered`: count of answers by kind and HTTP status; `repeated`: count of
    repeated webhooks. `http/connections.py` limits how long a body may take."""

    def __init__(self, hooks: WebhookRoutes, log: LogWriter, receipts: WebhookRecords, rejections: Rejections) -> None:
        self.hooks, self._log, self._receipts, self.rejections = hooks, log, receipts, rejections
        self._known: dict[tuple[str, str], Answer] = {}
        self.answered: Counter[tuple[str, int]] = Counter()
        self.repeated = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI app of every path under /twilio/."""
        if (found := read_path(scope["path"])) is None:
            await send_answer(send, problem(404, "there is no such webhook"))
            return
        try:
            answer = await self._answer(found, scope, receive)
        except ClientGoneError:
            return
        except WebhookFormError as bad:
            answer = problem(bad.status, bad.rule)
        except LogUnavailableError:
            answer = problem(503, "neither Kafka nor the spool takes it")
        except Exception:
            self.answered[found[0], 500] += 1
            await send_answer(send, problem(500, "a fault of ours"))
            raise
        self.answered[found[0], answer[0]] += 1
        await send_answer(send, answer, closing=answer[0] >= 400 and _endless(scope["headers"]))

    async def _answer(self, found: tuple[Kind, str], scope: Any, receive: Any) -> Answer:
        if scope["method"] != "POST":
            return problem(405, "POST only")
        headers: Headers = dict(scope["headers"])
        if not headers.get(b"x-twilio-signature"):
            self.rejections.add(found[0], RejectionReason.UNSIGNED)
            return WRONG
        form_sent, query = _is_form(headers), _short(scope["query_string"])
        message = await receive()
        # In nearly all cases the whole body arrives with the head.
        whole = message["type"] == "http.request" and not message.get("more_body")
        body = message.get("body", b"") if whole else await _rest(message, receive)
        form = read_form(body) if form_sent else read_json(body)
        given, settings = _text(headers, b"x-twilio-signature"), _text(headers, SETTINGS)
        asked = RawWebhook(found[0].value, query, body.decode("latin-1"), given, settings, form_sent)
        fields = fields_of(form)
        hook = self.hooks.find(found[1], found[0], fields)
        if hook is None or not _signed(hook, found[0], asked, form, body):
            self._refused(hook, found[0], asked, form, scope)
            return WRONG
        token = _text(headers, b"i-twilio-idempotency-token")
        came = VerifiedWebhook(
            kind=found[0],
            tenant=hook.tenant,
            fields=fields,
            query=query,
            token=token if _TOKEN.match(token) else "",
            raw=asked,
        )
        if (answer := self._again(came)) is None:
            record, answer = self._receipt(came)
            await self._log.put(record)
            self._remember(came, answer)
        return answer

    def _again(self, came: VerifiedWebhook) -> Answer | None:
        """The earlier answer to a repeated webhook, else None. The idempotency token is not signed, so it identifies an
        event of Twilio's only together with the signature."""
        answer = self._known.get((came.token, came.raw.signature)) if came.token else None
        self.repeated += answer is not None
        return answer

    def _remember(self, came: VerifiedWebhook, answer: Answer) -> None:
        if not came.token:
            return
        if len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[came.token, came.raw.signature] = answer

    def _receipt(self, came: VerifiedWebhook) -> tuple[LogRecord, Answer]:
        if came.kind is Kind.STATUS:
            return self._receipts.report(came), NO_CONTENT
        record, reply = self._receipts.text(came)
        return record, twiml(reply) if reply else EMPTY_TWIML

    def _refused(self, hook: WebhookRoute | None, kind: Kind, asked: RawWebhook, form: Form, scope: Any) -> None:
        why = (
            RejectionReason.UNKNOWN_TENANT
            if hook is None
            else RejectionReason.SIGNATURE
            if hook.urls[kind]
            else RejectionReason.NO_URL
        )
        body, headers = asked.body.encode("latin-1"), dict(scope["headers"])
        account = next((value for name, value in form if name == "AccountSid"), "")
        self.rejections.add(kind, why, body, account, hook.tenant.name if hook else "")
        seen = RefusedWebhook(
            kind=kind,
            path=scope.get("raw_path", scope["path"].encode()).decode("latin-1"),
            query=asked.query,
            headers={name.decode(): _text(headers, name) for name in TOLD if name in headers},
            form=form if asked.form else (),
            body_sha256="" if asked.form else hashlib.sha256(body).hexdigest(),
            given=asked.signature,
            digest=settings_of(asked.settings).digest,
            hook=hook,
        )
        self.rejections.explain(seen, body, self.hooks)


def _signed(hook: WebhookRoute, kind: Kind, asked: RawWebhook, form: Form, body: bytes) -> bool:
    settings, urls = settings_of(asked.settings), hook.signed_urls(kind, asked.query)
    secrets = hook.keys.live(settings.key)
    if asked.form:
        return verified(secrets, asked.signature, urls, form, settings.digest)
    return verified_json(secrets, asked.signature, urls, body, settings.digest)


def _text(headers: Headers, name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def _is_form(headers: Headers) -> bool:
    """True for a form, False for JSON. Raises WebhookFormError for any other type and for a content-length that is
    too large, before the body is read."""
    kind = headers.get(b"content-type", b"")
    if kind != FORM and (kind := kind.partition(b";")[0].strip().lower()) not in (FORM, JSON):
        raise WebhookFormError(415, f"{FORM.decode()} or {JSON.decode()} only")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length[:9]) > MAX_BODY_BYTES:
        raise WebhookFormError(413, f"body is longer than {MAX_BODY_BYTES} bytes")
    return kind == FORM


def _endless(headers: list[tuple[bytes, bytes]]) -> bool:
    """True for a chunked body: its length is unknown, and the server would read all of it."""
    return any(name == b"transfer-encoding" for name, _ in headers)


def _short(query: bytes) -> str:
    if len(query) > MAX_QUERY_BYTES:
        raise WebhookFormError(400, f"query is longer than {MAX_QUERY_BYTES} bytes")
    return query.decode("latin-1")


async def _rest(message: Any, receive: Any) -> bytes:
    """Read the whole body, which begins with `message`. Raises WebhookFormError if it is too long, and
    ClientGoneError if the client disconnects."""
    parts, length = [], 0
    while message["type"] != "http.disconnect":
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > MAX_BODY_BYTES:
            raise WebhookFormError(413, f"body is longer than {MAX_BODY_BYTES} bytes")
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise ClientGoneError
