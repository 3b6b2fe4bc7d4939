"""The REST API: create, fetch, list, cancel and redact, in the form of Twilio's 2010-04-01 API."""

import asyncio
import base64
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.simulator import rules
from app.simulator.listing import BadPage, page
from app.simulator.lives import Lives
from app.simulator.rules import Refusal, Wish, refusal, send_at
from app.simulator.state import State, new_sid
from app.simulator.text import Text, resource

MAX_FIELDS = 1000


def answered(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    """JSON."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def refused(refusal: Refusal) -> Response:
    """Twilio's error."""
    return answered(refusal.status, refusal.content())


class Api:
    """Handlers of /2010-04-01/Accounts/{account}/Messages."""

    def __init__(self, state: State, lives: Lives) -> None:
        self._state, self._lives = state, lives
        config = state.config
        pairs = {config.account_sid: config.auth_token, **config.api_keys}
        self._credentials = {"Basic " + base64.b64encode(f"{u}:{p}".encode()).decode() for u, p in pairs.items()}

    async def create(self, request: Request) -> Response:
        """POST Messages.json."""
        counts = self._state.counts
        counts["calls"] += 1
        unknown = self._unknown(request)
        if unknown is not None:
            counts[f"refused_{unknown.code}"] += 1
            return refused(unknown)
        wish = Wish.read(await _form(request))
        await self._linger(wish)
        fault = self._state.strikes.call(wish.to)
        return await self._unlucky(request, wish, fault) if fault else await self._take(wish)

    async def _linger(self, wish: Wish) -> None:
        """The answer's delay."""
        faults, wait = self._state.strikes.faults, self._state.config.latency_ms
        if faults.slow_ms and self._state.strikes.strikes("slow", wish.to):
            wait += faults.slow_ms
        if wait:
            await asyncio.sleep(wait / 1000)

    async def _unlucky(self, request: Request, wish: Wish, fault: str) -> Response:
        counts = self._state.counts
        if fault == "throttle":
            counts["refused_20429"] += 1
            return refused(rules.THROTTLED)
        if fault.startswith("accept_then"):
            taken = await self._take(wish)
            if taken.status_code != 201:
                return taken
        if fault.endswith("timeout"):
            await _hold(request, self._state.strikes.faults.hold_ms / 1000)
        counts["answered_500"] += 1
        return refused(rules.BROKEN)

    async def _take(self, wish: Wish) -> Response:
        """201 with the text as it is at first, or Twilio's refusal."""
        state, now = self._state, time.time()
        wrong = refusal(wish, state, now)
        if wrong is not None:
            state.counts[f"refused_{wrong.code}"] += 1
            return refused(wrong)
        text = self._text(wish, now)
        state.accept(text)
        content = resource(state.config.account_sid, text)
        life = self._lives.begin(text)
        if text.status_callback and not text.send_at and state.strikes.strikes("before_response", text.to):
            await self._lives.first(life)
        self._lives.go(life)
        return answered(201, content, {"Twilio-Request-Id": "RQ" + text.sid[2:]})

    def _text(self, wish: Wish, now: float) -> Text:
        at = send_at(wish)
        return Text(
            sid=new_sid(media=bool(wish.media)),
            to=wish.to,
            sender=wish.sender or self._state.sender_for(wish.to),
            service=wish.service,
            body=wish.body or (f"(content {wish.content_sid})" if wish.content_sid else ""),
            media=wish.media,
            status="scheduled" if at else "accepted" if wish.service else "queued",
            status_callback=wish.status_callback,
            created_at=now,
            send_at=at,
        )

    async def fetch(self, request: Request) -> Response:
        """GET Messages/{sid}.json."""
        found = self._found(request)
        return refused(found) if isinstance(found, Refusal) else self._shown(found)

    async def update(self, request: Request) -> Response:
        """POST Messages/{sid}.json: Status=canceled, or an empty Body to redact."""
        found = self._found(request)
        if isinstance(found, Refusal):
            return refused(found)
        form = dict(await _form(request))
        if form.get("Status") == "canceled":
            if found.status != "scheduled":
                return refused(rules.NOT_CANCELABLE)
            found.status, found.final, found.updated_at = "canceled", True, time.time()
        if form.get("Body") == "":
            found.body, found.updated_at = "", time.time()
        return self._shown(found)

    async def list(self, request: Request) -> Response:
        """GET Messages.json, in pages."""
        unknown = self._unknown(request)
        if unknown is not None:
            return refused(unknown)
        query = dict(request.query_params)
        try:
            return answered(200, page(self._state, request.url.path, query))
        except BadPage:
            return refused(Refusal(20001, "Invalid page or page size"))

    def _unknown(self, request: Request) -> Refusal | None:
        """Why these credentials may not ask."""
        if request.headers.get("authorization", "") not in self._credentials:
            return rules.UNAUTHORISED
        return None if request.path_params["account"] == self._state.config.account_sid else rules.NOT_FOUND

    def _found(self, request: Request) -> Text | Refusal:
        unknown = self._unknown(request)
        return unknown or self._state.texts.get(request.path_params["sid"]) or rules.NOT_FOUND

    def _shown(self, text: Text) -> Response:
        return answered(200, resource(self._state.config.account_sid, text))


async def _form(request: Request) -> list[tuple[str, str]]:
    """Fields in order; bytes that are no UTF-8 become replacement characters, as does the rest of a form too long."""
    body = (await request.body()).decode("utf-8", "replace")
    return parse_qsl(body, keep_blank_values=True)[:MAX_FIELDS]


async def _hold(request: Request, seconds: float) -> None:
    """Say nothing until the caller hangs up."""
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
