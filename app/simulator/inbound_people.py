"""People who text in: the signed webhook, Twilio's own STOP list, and what the webhook's answer makes Twilio send."""

import asyncio
import html
import re
import time

import msgspec

from app.simulator.consent import CONFIRMED, keyword
from app.simulator.state import SimulatorState, new_sid
from app.simulator.text import StoredText, segments
from app.simulator.webhook_client import WebhookResponse
from app.simulator.webhooks import WebhookSender

PLACES = tuple(side + part for side in ("From", "To") for part in ("City", "State", "Zip", "Country"))
_MESSAGE = re.compile(r"<Message\b[^>]*>(.*?)</Message>", re.DOTALL)
_BODY = re.compile(r"<Body\b[^>]*>(.*?)</Body>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
TWIML = ("text/xml", "application/xml", "text/html")


class InboundForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A person texts: `from` writes `body` to one of our numbers. `messaging_service`: the service that number is in;
    if not named, the one that holds it or has sent from it. `url` overrides the account's and the configured inbound
    URL."""

    from_: str = msgspec.field(name="from")
    to: str = "+15005550006"
    body: str = ""
    media: list[str] = []
    messaging_service: str | None = None
    url: str = ""


class InboundAnswer(msgspec.Struct, kw_only=True):
    """What came of it: the webhook's HTTP `status` (0: no answer) and `body`, and the texts Twilio would send for it.
    `at`: unix seconds when the answer was in; `url_failed`: the fallback URL had to answer; `confirmed`: what Twilio
    texts by itself for STOP, START or HELP."""

    sid: str
    status: int
    body: str
    at: float
    replies: list[str]
    url_failed: bool = False
    confirmed: str = ""


class InboundSenders:
    """Simulated people who text in."""

    def __init__(self, state: SimulatorState, webhooks: WebhookSender) -> None:
        self._state, self._webhooks = state, webhooks
        self._writing: set[asyncio.Task[InboundAnswer]] = set()

    async def text(self, inbound: InboundForm) -> InboundAnswer:
        """A person texts; the answer of the webhook, the fallback URL's if that failed."""
        kept, strikes = self._kept(inbound), self._state.strikes
        kind = self._state.opt_outs.heard(kept.service, kept.to, kept.sender, kept.body)
        heard = InboundAnswer(sid=kept.sid, status=0, body="", at=time.time(), replies=[], confirmed=CONFIRMED[kind])
        if strikes.strikes("inbound_lost", kept.sender):
            return heard
        url = self.url_of(inbound)
        if strikes.strikes("inbound_duplicate", kept.sender):
            self._webhooks.send(url, self._fields(kept))
        fallback = self._state.senders.hooks(kept.to)[1] or self._state.config.fallback_url
        answer, heard.url_failed = await self._asked((url, fallback), self._fields(kept))
        heard.status, heard.body, heard.at = answer.status, answer.body.decode("utf-8", "replace"), time.time()
        if not self._state.blocked(kept.service, kept.to, kept.sender):
            heard.replies = replies_of(answer)
        for reply in heard.replies:
            self._reply(kept, reply)
        return heard

    def url_of(self, inbound: InboundForm) -> str:
        """Where it is posted: as it says itself, as the account has it for that number, as configured."""
        return inbound.url or self._state.senders.hooks(inbound.to)[0] or self._state.config.inbound_url

    async def _asked(self, urls: tuple[str, str], fields: dict[str, str]) -> tuple[WebhookResponse, bool]:
        """The webhook's answer, or the fallback URL's; whether the webhook failed."""
        url, fallback = urls
        answer = await self._webhooks.ask(url, fields)
        failed = not 200 <= answer.status < 400
        if failed and fallback:
            more = {"ErrorCode": "11200" if answer.status else "11205", "ErrorUrl": url}
            answer = await self._webhooks.ask(fallback, fields | more)
        return answer, failed

    def arrived(self, text: StoredText) -> None:
        """A person has received a text; one whose script says so texts back."""
        script = self._state.strikes.scripts.get(text.to)
        if script is None or not script.says or 0 < script.times < text.nth:
            return
        said = InboundForm(from_=text.to, to=text.sender, body=script.says, messaging_service=text.service)
        if self.url_of(said):
            task = asyncio.get_running_loop().create_task(self.text(said))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    def _kept(self, inbound: InboundForm) -> StoredText:
        named = inbound.messaging_service
        service = self._state.service_of(inbound.to) if named is None else named
        text = StoredText(
            sid=new_sid(media=bool(inbound.media)),
            to=inbound.to,
            sender=inbound.from_,
            service=service,
            body=inbound.body,
            media=tuple(inbound.media),
            status="received",
            created_at=time.time(),
            sent_at=time.time(),
            direction="inbound",
            final=True,
        )
        self._state.keep(text)
        self._state.counts["inbound"] += 1
        return text

    def _fields(self, text: StoredText) -> dict[str, str]:
        fields = {"MessageSid": text.sid, "SmsSid": text.sid, "SmsMessageSid": text.sid, "From": text.sender}
        fields |= {"To": text.to, "Body": text.body, "NumMedia": str(len(text.media)), "SmsStatus": "received"}
        fields |= {"NumSegments": str(segments(text.body)), "ApiVersion": "2010-04-01"}
        fields |= {"AccountSid": self._state.config.account_sid, **dict.fromkeys(PLACES, "")}
        for n, url in enumerate(text.media):
            fields |= {f"MediaUrl{n}": url, f"MediaContentType{n}": "image/jpeg"}
        if text.service:
            fields["MessagingServiceSid"] = text.service
            if self._state.config.advanced_opt_out and keyword(text.body):
                fields["OptOutType"] = keyword(text.body)
        return fields

    def _reply(self, text: StoredText, body: str) -> None:
        reply = StoredText(
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


def replies_of(answer: WebhookResponse) -> list[str]:
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
