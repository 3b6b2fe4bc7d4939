"""The REST API: create, fetch, list, cancel and redact, in the form of Twilio's 2010-04-01 API."""

import asyncio
import base64
import time
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.simulator.person import FROM_ERRORS, TO_ERRORS, fate
from app.simulator.state import Message, State

Answer = tuple[int, dict[str, Any]]
MAX_BODY = 1600


def answered(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    """JSON."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def error(status: int, code: int, message: str) -> Answer:
    """Twilio's legacy error."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return status, {"code": code, "message": message, "more_info": more, "status": status}


class Api:
    """Handlers of /2010-04-01/Accounts/{sid}/Messages."""

    def __init__(self, state: State) -> None:
        self._state = state
        config = state.config
        pairs = {config.account_sid: config.auth_token, **config.api_keys}
        self._credentials = {"Basic " + base64.b64encode(f"{u}:{p}".encode()).decode() for u, p in pairs.items()}

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("authorization", "") not in self._credentials:
            return answered(*error(401, 20003, "Authenticate"))
        if request.path_params["account"] != self._state.config.account_sid:
            return answered(*error(404, 20404, "The requested resource was not found"))
        return None

    async def create(self, request: Request) -> Response:
        """POST Messages.json."""
        state, faults = self._state, self._state.faults
        if (refused := self._refused(request)) is not None:
            return refused
        state.counts["calls"] += 1
        form = parse_qs((await request.body()).decode(), keep_blank_values=True)
        wait = state.config.latency_ms + faults.slow_ms
        if wait:
            await asyncio.sleep(wait / 1000)
        struck = self._strike()
        if struck == "throttle":
            return answered(*error(429, 20429, "Too many requests"))
        if struck == "error_500":
            return answered(*error(500, 20500, "Internal server error"))
        status, content = self._take(form)
        if status == 201 and struck == "accept_then_timeout":
            await asyncio.sleep(3600)
        if status == 201 and struck == "accept_then_500":
            return answered(*error(500, 20500, "Internal server error"))
        return answered(status, content, {"Twilio-Request-Id": "RQ" + content.get("sid", "")[2:]})

    def _strike(self) -> str:
        """The API fault that strikes this call, if one does."""
        state, faults = self._state, self._state.faults
        if faults.calls < 0:
            return ""
        for name in ("throttle", "error_500", "accept_then_timeout", "accept_then_500"):
            if state.chance(getattr(faults, name)):
                if faults.calls:
                    faults.calls = faults.calls - 1 or -1
                return name
        return ""

    def _take(self, form: dict[str, list[str]]) -> Answer:
        one = {name: values[0] for name, values in form.items()}
        to, body, media = one.get("To", ""), one.get("Body", ""), form.get("MediaUrl", [])
        service, sender = one.get("MessagingServiceSid", ""), one.get("From", "")
        if (wrong := self._wrong(to, body, media, service, sender)) is not None:
            return wrong
        state = self._state
        message = Message(
            sid=state.new_sid(bool(media)),
            to=to,
            from_=sender or "+15005550006",
            service=service,
            body=body,
            media=media,
            status="accepted" if service else "queued",
            status_callback=one.get("StatusCallback", ""),
            created_at=time.time(),
            index=len(state.creates),
        )
        state.accept(message)
        state.sent_to[to] += 1
        state.live(message, fate(state.config.seed, to, state.sent_to[to], state.config.mix, bool(service)))
        return 201, resource(state, message)

    def _wrong(self, to: str, body: str, media: list[str], service: str, sender: str) -> Answer | None:
        if not to:
            return error(400, 21604, "A 'To' phone number is required")
        if not body and not media:
            return error(400, 21602, "Message body is required")
        if len(body) > MAX_BODY:
            return error(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        if not service and not sender:
            return error(400, 21603, "A 'From' or 'MessagingServiceSid' parameter is required")
        if sender in FROM_ERRORS:
            return error(400, *FROM_ERRORS[sender])
        if to in TO_ERRORS:
            return error(400, *TO_ERRORS[to])
        if not to.startswith("+") or not to[1:].isdigit():
            return error(400, 21211, "The 'To' number is not a valid phone number")
        if (service or sender, to) in self._state.opted_out:
            return error(400, 21610, "Attempt to send to unsubscribed recipient")
        return None

    async def fetch(self, request: Request) -> Response:
        """GET Messages/{sid}.json."""
        if (refused := self._refused(request)) is not None:
            return refused
        message = self._state.messages.get(request.path_params["sid"])
        if message is None:
            return answered(*error(404, 20404, "The requested resource was not found"))
        return answered(200, resource(self._state, message))

    async def update(self, request: Request) -> Response:
        """POST Messages/{sid}.json: Status=canceled, or Body= to redact."""
        if (refused := self._refused(request)) is not None:
            return refused
        message = self._state.messages.get(request.path_params["sid"])
        if message is None:
            return answered(*error(404, 20404, "The requested resource was not found"))
        form = parse_qs((await request.body()).decode(), keep_blank_values=True)
        if form.get("Status") == ["canceled"]:
            if message.status != "scheduled":
                return answered(*error(400, 30409, "Message cannot be canceled"))
            message.status = "canceled"
        elif form.get("Body") == [""]:
            message.body = ""
        return answered(200, resource(self._state, message))

    async def list(self, request: Request) -> Response:
        """GET Messages.json, in pages."""
        if (refused := self._refused(request)) is not None:
            return refused
        size, page = int(request.query_params.get("PageSize", "50")), int(request.query_params.get("Page", "0"))
        found = self._state.listed(request.query_params)
        shown = found[page * size : (page + 1) * size]
        path = request.url.path
        more = f"{path}?PageSize={size}&Page={page + 1}" if (page + 1) * size < len(found) else None
        return answered(
            200,
            {
                "messages": [resource(self._state, message) for message in shown],
                "page": page,
                "page_size": size,
                "uri": path,
                "first_page_uri": f"{path}?PageSize={size}&Page=0",
                "next_page_uri": more,
                "previous_page_uri": None,
                "start": page * size,
                "end": page * size + len(shown) - 1,
            },
        )


def resource(state: State, message: Message) -> dict[str, Any]:
    """Twilio's message resource. `num_segments` is "0" at create through a service, as with Twilio."""
    account = state.config.account_sid
    uri = f"/2010-04-01/Accounts/{account}/Messages/{message.sid}.json"
    date = formatdate(message.created_at, usegmt=False)
    return {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": message.body,
        "date_created": date,
        "date_sent": None if message.status in ("accepted", "queued", "scheduled") else date,
        "date_updated": date,
        "direction": message.direction,
        "error_code": message.error_code,
        "error_message": None,
        "from": None if message.service and message.status == "accepted" else message.from_,
        "messaging_service_sid": message.service or None,
        "num_media": str(len(message.media)),
        "num_segments": "0" if message.service else "1",
        "price": None,
        "price_unit": "USD",
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": uri.replace(".json", "/Media.json")},
        "to": message.to,
        "uri": uri,
    }
