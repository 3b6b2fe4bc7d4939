"""The REST API: create, fetch, list, cancel, redact and delete, in the form of Twilio's 2010-04-01 API."""

import asyncio
import base64
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.simulator import rules
from app.simulator.message_life import MessageLifecycles
from app.simulator.message_pages import PageError, page
from app.simulator.rules import MAX_VALIDITY_S, CreateForm, CreateRejection, refusal, send_at, sender_of
from app.simulator.state import SimulatorState, new_sid
from app.simulator.text import StoredText, resource

MAX_FIELDS = 1000
ENDED = ("delivered", "undelivered", "failed", "read", "canceled", "received")
PROXY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
Handler = Callable[[Request], Awaitable[Response]]


def answered(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response with this status."""
    return Response(orjson.dumps(content), status, headers, "application/json")


class MessagesApi:
    """The handlers of /2010-04-01/Accounts/{account}/Messages."""

    def __init__(self, state: SimulatorState, lives: MessageLifecycles) -> None:
        self._state, self._lives = state, lives
        self._open = 0
        config = state.config
        pairs = {config.account_sid: config.auth_token, **config.api_keys}
        self._credentials = {"Basic " + base64.b64encode(f"{u}:{p}".encode()).decode() for u, p in pairs.items()}

    def counted(self, handle: Handler) -> Handler:
        """The handler with Twilio's headers, refused with 20429 when too many calls are open at once."""

        async def handled(request: Request) -> Response:
            self._open += 1
            began, open_now = time.monotonic(), self._open
            try:
                busy = 0 < self._state.config.concurrency < open_now
                answer = self._busy(request) if busy else await handle(request)
            finally:
                self._open -= 1
            answer.raw_headers += [
                (b"twilio-concurrent-requests", b"%d" % open_now),
                (b"twilio-request-duration", b"%.3f" % (time.monotonic() - began)),
                (b"twilio-request-id", b"RQ" + uuid.uuid4().hex.encode()),
            ]
            return answer

        return handled

    def _busy(self, request: Request) -> Response:
        self._state.counts["calls"] += request.method == "POST" and "sid" not in request.path_params
        return self.throttled()

    def throttled(self) -> Response:
        """429 / 20429, with Retry-After if one is configured."""
        after = self._state.strikes.faults.retry_after_s
        self._state.counts["refused_20429"] += 1
        return self.refused(rules.THROTTLED, {"Retry-After": str(after)} if after else None)

    def refused(self, refusal: CreateRejection, headers: Mapping[str, str] | None = None) -> Response:
        """Twilio's error, in the form that is configured."""
        if self._state.config.errors == "legacy":
            return answered(refusal.status, refusal.content(), headers)
        return Response(orjson.dumps(refusal.problem()), refusal.status, headers, "application/problem+json")

    async def create(self, request: Request) -> Response:
        """Create a text: POST Messages.json."""
        counts = self._state.counts
        counts["calls"] += 1
        unknown = self._unknown(request)
        if unknown is not None:
            counts[f"refused_{unknown.code}"] += 1
            return self.refused(unknown)
        wish = CreateForm.read(await _form(request))
        wait = (self._state.strikes.delay("slow", wish.to) or 0) + self._state.config.latency_ms / 1000
        if wait:
            await asyncio.sleep(wait)
        fault = self._state.strikes.call(wish.to)
        return await self._unlucky(request, wish, fault) if fault else await self._take(wish)

    async def _unlucky(self, request: Request, wish: CreateForm, fault: str) -> Response:
        if fault == "throttle":
            return self.throttled()
        taken = await self._take(wish) if fault.startswith("accept_then") else None
        if taken is not None and taken.status_code != 201:
            return taken
        if fault.endswith("timeout"):
            await hold(request, self._state.strikes.faults.hold_ms / 1000)
        kind = fault.rpartition("_")[2]
        if kind == "cut" and taken is not None:
            return Response(bytes(taken.body)[: len(taken.body) // 2], 201, None, "application/json")
        status = {"html": 502, "503": 503}.get(kind, 500)
        self._state.counts[f"answered_{status}"] += 1
        if kind == "html":
            return Response(PROXY_PAGE, 502, None, "text/html")
        return self.refused(rules.UNAVAILABLE if status == 503 else rules.BROKEN)

    async def _take(self, wish: CreateForm) -> Response:
        """201 with the text as it is at first, or Twilio's refusal."""
        state, now = self._state, time.time()
        wrong = refusal(wish, state, now)
        if wrong is not None:
            state.counts[f"refused_{wrong.code}"] += 1
            return self.refused(wrong)
        text = self._text(wish, now)
        state.accept(text)
        content = resource(state.config.account_sid, text)
        life = self._lives.begin(text)
        if text.status_callback and not text.send_at and state.strikes.strikes("before_response", text.to):
            await self._lives.first(life)
        self._lives.go(life)
        return answered(201, content)

    def _text(self, wish: CreateForm, now: float) -> StoredText:
        at, service = send_at(wish), self._state.senders.service(wish.service)
        return StoredText(
            sid=new_sid(media=bool(wish.media)),
            to=wish.to,
            sender=sender_of(wish, self._state),
            service=wish.service,
            body=wish.body or (f"(content {wish.content_sid})" if wish.content_sid else ""),
            media=tuple(wish.media),
            status="scheduled" if at else "accepted" if wish.service else "queued",
            status_callback=wish.status_callback or (service and service.status_callback) or "",
            created_at=now,
            send_at=at,
            validity_s=int(wish.validity or (service.validity_period if service else MAX_VALIDITY_S)),
            smart=wish.smart.lower() == "true" if wish.smart else bool(service and service.smart_encoding),
            discard=wish.discard,
            obfuscate=wish.obfuscate,
        )

    async def fetch(self, request: Request) -> Response:
        """Fetch one text: GET Messages/{sid}.json."""
        found = self._found(request)
        return self.refused(found) if isinstance(found, CreateRejection) else self._shown(found)

    async def update(self, request: Request) -> Response:
        """POST Messages/{sid}.json: Status=canceled, or an empty Body to redact."""
        found = self._found(request)
        if isinstance(found, CreateRejection):
            return self.refused(found)
        form = dict(await _form(request))
        if (form.get("Status"), form.get("Body")) not in (("canceled", None), (None, "")):
            return self.refused(rules.BAD_UPDATE)
        if "Body" in form:
            found.body = ""
        elif found.status != "scheduled":
            return self.refused(rules.NOT_CANCELABLE)
        else:
            found.status, found.final = "canceled", True
        found.updated_at = time.time()
        return self._shown(found)

    async def delete(self, request: Request) -> Response:
        """DELETE Messages/{sid}.json, of a text that has come to its end."""
        found = self._found(request)
        if isinstance(found, CreateRejection):
            return self.refused(found)
        if found.status not in ENDED:
            return self.refused(rules.NOT_COMPLETE)
        self._state.forget(found)
        return Response(status_code=204)

    async def list(self, request: Request) -> Response:
        """GET Messages.json, in pages."""
        unknown = self._unknown(request)
        if unknown is not None:
            return self.refused(unknown)
        query = dict(request.query_params)
        try:
            return answered(200, page(self._state, request.url.path, query))
        except PageError:
            return self.refused(CreateRejection(20001, "Invalid page, page size or date"))

    def _unknown(self, request: Request) -> CreateRejection | None:
        """Why these credentials may not ask."""
        if request.headers.get("authorization", "") not in self._credentials:
            return rules.UNAUTHORISED
        return None if request.path_params["account"] == self._state.config.account_sid else rules.NOT_FOUND

    def _found(self, request: Request) -> StoredText | CreateRejection:
        unknown = self._unknown(request)
        return unknown or self._state.texts.get(request.path_params["sid"]) or rules.NOT_FOUND

    def _shown(self, text: StoredText) -> Response:
        return answered(200, resource(self._state.config.account_sid, text))


async def _form(request: Request) -> list[tuple[str, str]]:
    """Fields in order; bytes that are no UTF-8 become replacement characters, as does the rest of a form too long."""
    body = (await request.body()).decode("utf-8", "replace")
    return parse_qsl(body, keep_blank_values=True)[:MAX_FIELDS]


async def hold(request: Request, seconds: float) -> None:
    """Say nothing until the caller hangs up."""
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
