"""The simulator's own side, under /_sim: what was created, faults, configuration, people who text in; and the app."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.simulator import rules
from app.simulator.account import account_routes
from app.simulator.account_access import AccountAccess
from app.simulator.account_data import SimulatedAccount
from app.simulator.api import MessagesApi, answered
from app.simulator.config import ChangeableConfig, SimulatorConfig
from app.simulator.faults import FaultConfig
from app.simulator.inbound_people import InboundForm, InboundSenders
from app.simulator.lookup import LookupApi
from app.simulator.message_life import MessageLifecycles
from app.simulator.state import SimulatorState
from app.simulator.text import created
from app.simulator.webhooks import WebhookSender

T = TypeVar("T")


class CreatesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which creates: from the idx `since` on, or behind the idx `after`; with `limit` at most so many, and `next` tells
    where the following ones are (null: there are none yet)."""

    since: Annotated[int, msgspec.Meta(ge=0)] = 0
    after: Annotated[int, msgspec.Meta(ge=-1)] = -1
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None


class ControlApi:
    """Handlers of /_sim. What they cannot read is answered with 400 and why."""

    def __init__(self, state: SimulatorState, webhooks: WebhookSender, people: InboundSenders) -> None:
        self._state, self._webhooks, self._people = state, webhooks, people

    async def creates(self, request: Request) -> Response:
        """Accepted creates in order, all of them or by `CreatesQuery`; ?count gives their number alone."""
        query = request.query_params
        count = {"count": self._state.forgotten + len(self._state.creates)}
        if "count" in query:
            return answered(200, count)
        try:
            page = msgspec.convert(dict(query), CreatesQuery, strict=False)
        except msgspec.ValidationError as bad:
            return answered(400, {"error": str(bad)})
        return answered(200, {**count, **self._page(page)})

    def _page(self, page: CreatesQuery) -> dict[str, Any]:
        creates, limit = self._state.creates, page.limit
        begin = max(0, max(page.since, page.after + 1) - self._state.forgotten)
        shown = creates[begin : begin + limit if limit else None]
        told: dict[str, Any] = {"creates": [created(text) for text in shown]}
        if limit:
            more = begin + limit < len(creates)
            told["next"] = f"/_sim/creates?after={shown[-1].index}&limit={limit}" if more else None
        return told

    async def calls(self, _request: Request) -> Response:
        """Counts: create calls, accepted, refused by code, posts by the HTTP status they got, faults that struck."""
        struck = {f"fault_{name}": count for name, count in self._state.strikes.struck.items()}
        return answered(200, {**self._state.counts, **self._webhooks.counts, **struck})

    async def webhooks(self, _request: Request) -> Response:
        """The last thousand posts of webhooks, each try of its own, with the HTTP status that they got (0: none)."""
        return answered(200, {"webhooks": self._webhooks.told()})

    async def numbers(self, _request: Request) -> Response:
        """Numbers that misbehave, and how."""
        return answered(200, {to: msgspec.to_builtins(script) for to, script in self._state.strikes.scripts.items()})

    async def faults(self, request: Request) -> Response:
        """GET shows, POST sets (what is not named is off), DELETE clears."""
        if request.method == "DELETE":
            self._state.set_faults(FaultConfig())
        elif request.method == "POST":
            return await _reading(request, FaultConfig, self._set_faults)
        return self._shown()

    async def config(self, request: Request) -> Response:
        """GET shows, POST changes what it names. Neither shows a secret."""
        if request.method == "POST":
            return await _reading(request, dict[str, Any], self._configure)
        return self._configured()

    async def inbound(self, request: Request) -> Response:
        """A person texts in: the signed webhook is posted, its answer returned."""
        try:
            inbound = msgspec.json.decode(await request.body(), type=InboundForm)
        except msgspec.MsgspecError as bad:
            return answered(400, {"error": str(bad)})
        if not self._people.url_of(inbound):
            return answered(400, {"error": "no inbound URL: give --inbound-url, or url here"})
        return answered(200, msgspec.to_builtins(await self._people.text(inbound)))

    async def reset(self, _request: Request) -> Response:
        """Forget texts, opt-outs, counts and faults; the configuration stays."""
        self._state.reset()
        self._webhooks.forget()
        return answered(200, {})

    def _set_faults(self, faults: FaultConfig) -> Response:
        self._state.set_faults(faults)
        return self._shown()

    def _configure(self, changes: dict[str, Any]) -> Response:
        changed = msgspec.convert({**self._settings(), **changes}, ChangeableConfig)
        self._state.configure(msgspec.structs.replace(self._state.config, **msgspec.structs.asdict(changed)))
        return self._configured()

    def _configured(self) -> Response:
        return answered(200, self._settings())

    def _settings(self) -> dict[str, Any]:
        known = msgspec.to_builtins(self._state.config)
        return {name: known[name] for name in ChangeableConfig.__struct_fields__}

    def _shown(self) -> Response:
        return answered(200, msgspec.structs.asdict(self._state.strikes.faults))


async def _reading(request: Request, kind: type[T], act: Callable[[T], Response]) -> Response:
    """The body, read as `kind` and acted on; 400 and why if it cannot be."""
    try:
        return act(msgspec.json.decode(await request.body(), type=kind))
    except msgspec.MsgspecError as bad:
        return answered(400, {"error": str(bad)})


async def _unknown(request: Request, fault: Exception) -> Response:
    """Twilio's error for what is not here, so that a client reads it as one."""
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    if request.url.path.startswith("/_sim"):
        return answered(status, {"error": "no such path or method; see app/simulator/README.md"})
    refusal = rules.NOT_ALLOWED if status == 405 else rules.NOT_FOUND
    return answered(refusal.status, refusal.content())


async def _healthz(_request: Request) -> Response:
    return answered(200, {"ok": True})


def build(config: SimulatorConfig) -> Starlette:
    """The ASGI app; it begins nothing before the first request."""
    holdings = SimulatedAccount(config)
    state, guard = SimulatorState(config, holdings), AccountAccess(config, holdings)
    webhooks = WebhookSender(lambda: state.config)
    people = InboundSenders(state, webhooks)
    api, control = (
        MessagesApi(state, MessageLifecycles(state, webhooks, people.arrived)),
        ControlApi(state, webhooks, people),
    )
    lookups = LookupApi(state, api, guard)
    messages = "/2010-04-01/Accounts/{account}/Messages"

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        webhooks.close()

    return Starlette(
        lifespan=lifespan,
        exception_handlers={404: _unknown, 405: _unknown},
        routes=[
            Route(f"{messages}.json", api.counted(api.create), methods=["POST"]),
            Route(f"{messages}.json", api.counted(api.list), methods=["GET"]),
            Route(f"{messages}/{{sid}}.json", api.counted(api.fetch), methods=["GET"]),
            Route(f"{messages}/{{sid}}.json", api.counted(api.update), methods=["POST"]),
            Route(f"{messages}/{{sid}}.json", api.counted(api.delete), methods=["DELETE"]),
            Route("/v2/PhoneNumbers/{number}", api.counted(lookups.fetch), methods=["GET"]),
            Route("/_sim/creates", control.creates),
            Route("/_sim/calls", control.calls),
            Route("/_sim/webhooks", control.webhooks),
            Route("/_sim/numbers", control.numbers),
            Route("/_sim/faults", control.faults, methods=["GET", "POST", "DELETE"]),
            Route("/_sim/config", control.config, methods=["GET", "POST"]),
            Route("/_sim/inbound", control.inbound, methods=["POST"]),
            Route("/_sim/reset", control.reset, methods=["POST"]),
            Route("/healthz", _healthz),
            *account_routes(config.account_sid, holdings, guard),
        ],
    )
