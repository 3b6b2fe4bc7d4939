"""People who text in: the signed webhook, Twilio's own STOP list, and what the webhook's answer makes Twilio send."""

import html
import re
import time

import msgspec

from app.simulator.posting import Answer
from app.simulator.state import State, new_sid
from app.simulator.text import Text, segments
from app.simulator.webhooks import Webhooks

STOP = {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}
START = {"START", "YES", "UNSTOP"}
HELP = {"HELP", "INFO"}
PLACES = tuple(side + part for side in ("From", "To") for part in ("City", "State", "Zip", "Country"))
_MESSAGE = re.compile(r"<Message\b[^>]*>(.*?)</Message>", re.DOTALL)
_BODY = re.compile(r"<Body\b[^>]*>(.*?)</Body>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
TWIML = ("text/xml", "application/xml", "text/html")


class Inbound(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A person texts: `from` writes `body` to one of our numbers. `messaging_service`: the service that number is in;
    if not named, the one that has sent from it. `url` overrides the configured inbound URL."""

    from_: str = msgspec.field(name="from")
    to: str = "+15005550006"
    body: str = ""
    media: list[str] = []
    messaging_service: str | None = None
    url: str = ""


class Heard(msgspec.Struct, kw_only=True):
    """What came of it: the webhook's HTTP `status` (0: no answer) and `body`, and the texts Twilio would send for it.
    `at`: unix seconds when the answer was in; `url_failed`: the fallback URL had to answer."""

    sid: str
    status: int
    body: str
    at: float
    replies: list[str]
    url_failed: bool = False


class People:
    """See the module."""

    def __init__(self, state: State, webhooks: Webhooks) -> None:
        self._state, self._webhooks = state, webhooks

    async def text(self, inbound: Inbound) -> Heard:
        """A person texts; the answer of the webhook, the fallback URL's if that failed."""
        config = self._state.config
        kept = self._kept(inbound)
        kind = keyword(inbound.body)
        self._consent(kept, kind)
        fields = self._fields(kept, kind)
        url = inbound.url or config.inbound_url
        answer = await self._webhooks.ask(url, fields)
        failed = not 200 <= answer.status < 400
        if failed and config.fallback_url:
            more = {"ErrorCode": "11200", "ErrorUrl": url}
            answer = await self._webhooks.ask(config.fallback_url, fields | more)
        replies = [] if self._blocked(kept) else replies_of(answer)
        for reply in replies:
            self._reply(kept, reply)
        body = answer.body.decode("utf-8", "replace")
        return Heard(sid=kept.sid, status=answer.status, body=body, at=time.time(), replies=replies, url_failed=failed)

    def _kept(self, inbound: Inbound) -> Text:
        named = inbound.messaging_service
        service = self._state.service_of(inbound.to) if named is None else named
        text = Text(
            sid=new_sid(media=bool(inbound.media)),
            to=inbound.to,
            sender=inbound.from_,
            service=service,
            body=inbound.body,
            media=inbound.media,
            status="received",
            created_at=time.time(),
            sent_at=time.time(),
            direction="inbound",
            final=True,
        )
        self._state.keep(text)
        self._state.counts["inbound"] += 1
        return text

    def _consent(self, text: Text, kind: str) -> None:
        """Twilio's list: of the whole service, or of the one number (Twilio: default scope)."""
        if kind == "STOP":
            self._state.stop(text.service or text.to, text.sender)
        elif kind == "START":
            self._state.start(text.service or text.to, text.sender)

    def _blocked(self, text: Text) -> bool:
        return self._state.blocked(text.service or text.to, text.sender)

    def _fields(self, text: Text, kind: str) -> dict[str, str]:
        fields = {"MessageSid": text.sid, "SmsSid": text.sid, "SmsMessageSid": text.sid, "From": text.sender}
        fields |= {"To": text.to, "Body": text.body, "NumMedia": str(len(text.media)), "SmsStatus": "received"}
        fields |= {"NumSegments": str(segments(text.body)), "ApiVersion": "2010-04-01"}
        fields |= {"AccountSid": self._state.config.account_sid, **dict.fromkeys(PLACES, "")}
        for n, url in enumerate(text.media):
            fields |= {f"MediaUrl{n}": url, f"MediaContentType{n}": "image/jpeg"}
        if text.service:
            fields["MessagingServiceSid"] = text.service
        if kind and self._state.config.advanced_opt_out:
            fields["OptOutType"] = kind
        return fields

    def _reply(self, text: Text, body: str) -> None:
        reply = Text(
            sid=new_sid(media=False),
            to=text.sender,
            sender=text.to,
            service=text.service,
            body=body,
            status="delivered",
            created_at=time.time(),
            sent_at=time.time(),
            direction="outbound-reply",
            final=True,
        )
        self._state.keep(reply)


def keyword(body: str) -> str:
    """STOP, START, HELP, or "". Twilio reads texts of one word only, in any case."""
    word = body.strip().upper()
    return "STOP" if word in STOP else "START" if word in START else "HELP" if word in HELP else ""


def replies_of(answer: Answer) -> list[str]:
    """What Twilio would text for this answer: each <Message> of TwiML, and the whole of a text/plain one."""
    body = answer.body.decode("utf-8", "replace")
    if not 200 <= answer.status < 300 or not body.strip():
        return []
    if answer.kind == "text/plain":
        return [body]
    return [_said(inner) for inner in _MESSAGE.findall(body)] if answer.kind in TWIML else []


def _said(inner: str) -> str:
    within = _BODY.search(inner)
    return html.unescape(_TAG.sub("", within[1] if within else inner)).strip()
