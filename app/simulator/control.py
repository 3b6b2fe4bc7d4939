"""The simulator's own side: what was created, which faults are on, and people who text in."""

import time
from typing import Any

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.simulator.api import Api, answered
from app.simulator.config import Faults, SimulatorConfig
from app.simulator.state import Message, State

STOP = {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}
START = {"START", "YES", "UNSTOP"}
HELP = {"HELP", "INFO"}


class Inbound(msgspec.Struct, kw_only=True):
    """A person texts: `from_` writes `body` to one of our senders. `url` overrides the configured inbound URL."""

    from_: str = msgspec.field(name="from")
    to: str = "+15005550006"
    body: str = ""
    media: list[str] = []
    messaging_service: str = ""
    url: str = ""


class Control:
    """Handlers of /_sim."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def creates(self, request: Request) -> Response:
        """Every accepted create, in order, from ?since=N."""
        since = int(request.query_params.get("since", "0"))
        shown = [_created(message) for message in self._state.creates[since:]]
        return answered(200, {"count": len(self._state.creates), "creates": shown})

    async def calls(self, _request: Request) -> Response:
        """Counts of calls, accepted creates and callbacks."""
        return answered(200, dict(self._state.counts))

    async def faults(self, request: Request) -> Response:
        """GET shows, POST sets (what is not named is off), DELETE clears."""
        if request.method == "POST":
            try:
                self._state.faults = msgspec.json.decode(await request.body(), type=Faults, strict=True)
            except msgspec.MsgspecError as bad:
                return answered(400, {"error": str(bad)})
        elif request.method == "DELETE":
            self._state.faults = Faults()
        return answered(200, msgspec.structs.asdict(self._state.faults))

    async def reset(self, _request: Request) -> Response:
        """Forget everything."""
        state = self._state
        state.messages.clear()
        state.creates.clear()
        state.counts.clear()
        state.sent_to.clear()
        state.opted_out.clear()
        state.faults = Faults()
        return answered(200, {})

    async def inbound(self, request: Request) -> Response:
        """A person texts in: the signed webhook is posted, its answer returned."""
        try:
            text = msgspec.json.decode(await request.body(), type=Inbound)
        except msgspec.MsgspecError as bad:
            return answered(400, {"error": str(bad)})
        fields = self._fields(text)
        status, body = await self._state.post(text.url or self._state.config.inbound_url, fields)
        return answered(200, {"status": status, "body": body.decode(), "sid": fields["MessageSid"], "at": time.time()})

    def _fields(self, text: Inbound) -> dict[str, str]:
        state, word = self._state, text.body.strip().upper()
        sid = state.new_sid(bool(text.media))
        kept = Message(
            sid=sid,
            to=text.to,
            from_=text.from_,
            service=text.messaging_service,
            body=text.body,
            media=text.media,
            status="received",
            status_callback="",
            created_at=time.time(),
            index=-1,
            direction="inbound",
        )
        state.messages[sid] = kept
        kind = "STOP" if word in STOP else "START" if word in START else "HELP" if word in HELP else ""
        blocked = (text.messaging_service or text.to, text.from_)
        if kind == "STOP":
            state.opted_out.add(blocked)
        elif kind == "START":
            state.opted_out.discard(blocked)
        fields = {"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": state.config.account_sid}
        fields |= {"From": text.from_, "To": text.to, "Body": text.body, "NumMedia": str(len(text.media))}
        fields |= {
            "NumSegments": "1",
            "SmsStatus": "received",
            "ApiVersion": "2010-04-01",
            "FromCity": "",
            "FromZip": "",
        }
        fields |= {f"MediaUrl{n}": url for n, url in enumerate(text.media)}
        if text.messaging_service:
            fields["MessagingServiceSid"] = text.messaging_service
        if kind and state.config.advanced_opt_out:
            fields["OptOutType"] = kind
        return fields


def _created(message: Message) -> dict[str, Any]:
    return {
        "sid": message.sid,
        "to": message.to,
        "from": message.from_,
        "messaging_service_sid": message.service,
        "body": message.body,
        "media": message.media,
        "status_callback": message.status_callback,
        "created_at": message.created_at,
        "idx": message.index,
    }


async def _healthz(_request: Request) -> Response:
    return Response(orjson.dumps({"ok": True}), media_type="application/json")


def build(config: SimulatorConfig) -> Starlette:
    """The ASGI app. Build it inside the running loop."""
    state = State(config)
    api, control = Api(state), Control(state)
    messages = "/2010-04-01/Accounts/{account}/Messages"
    return Starlette(
        routes=[
            Route(f"{messages}.json", api.create, methods=["POST"]),
            Route(f"{messages}.json", api.list, methods=["GET"]),
            Route(f"{messages}/{{sid}}.json", api.fetch, methods=["GET"]),
            Route(f"{messages}/{{sid}}.json", api.update, methods=["POST"]),
            Route("/_sim/creates", control.creates),
            Route("/_sim/calls", control.calls),
            Route("/_sim/faults", control.faults, methods=["GET", "POST", "DELETE"]),
            Route("/_sim/inbound", control.inbound, methods=["POST"]),
            Route("/_sim/reset", control.reset, methods=["POST"]),
            Route("/healthz", _healthz),
        ]
    )
