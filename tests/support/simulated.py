"""The simulator on a real socket, and a webhook that remembers what it was sent. The SDK's validator judges signatures."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import httpx
import msgspec
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.rest import Client

from app.internal_server import InternalServer
from app.simulator.config import SimulatorConfig
from app.simulator.control import build

ACCOUNT, TOKEN = "AC" + "0" * 31 + "9", "a-token-of-tests"
SERVICE, NUMBER, PERSON = "MG" + "0" * 31 + "9", "+15005550006", "+14155550123"


async def eventually(look: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `look` returns once it is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, f"never true: {look}"
        await asyncio.sleep(0.005)
    return seen


class PostedWebhook(NamedTuple):
    """A webhook received: `valid` is the validator's word on its signature."""

    path: str
    fields: dict[str, str]
    headers: dict[str, str]
    valid: bool


class WebhookReceiver:
    """A webhook. `answers` are used up first; then it answers 204. `posted`: all it was sent, answered or not.
    `secret`: what it believes that posts are signed with."""

    def __init__(self) -> None:
        self.secret = TOKEN
        self.posted: list[PostedWebhook] = []
        self.answers: list[tuple[int, str, bytes]] = []
        self.url = ""

    @property
    def statuses(self) -> list[str]:
        return [post.fields["MessageStatus"] for post in self.posted]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive()) and (body := body + message["body"]) and message["more_body"]:
            pass
        self._remember(scope, body)
        status, kind, content = self.answers.pop(0) if self.answers else (204, "", b"")
        headers = [(b"content-type", kind.encode())] if kind else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _remember(self, scope: Any, body: bytes) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        path = scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
        in_json = headers.get("content-type") == "application/json"
        fields = json.loads(body) if in_json else dict(parse_qsl(body.decode(), keep_blank_values=True))
        given = headers.get("x-twilio-signature", "")
        algorithm = get_signature_algorithm(headers.get("x-twilio-webhooks-signature-settings"))
        signed = body.decode() if in_json else fields
        valid = RequestValidator(self.secret).validate(self.url + path, signed, given, algorithm)
        self.posted.append(PostedWebhook(path, fields, headers, valid))


class RunningSimulator(NamedTuple):
    """`sdk`: Twilio's own client; `http`: for /_sim."""

    url: str
    hook: WebhookReceiver
    http: httpx.AsyncClient
    sdk: Client

    async def create(self, to: str = PERSON, **given: Any) -> Any:
        """By the SDK. Raises TwilioRestException."""
        sender = {"from_": NUMBER} if not given.get("messaging_service_sid") else {}
        kept = {"body": "hello", "status_callback": f"{self.hook.url}/status?m=1", **sender, **given}
        return await asyncio.to_thread(self.sdk.messages.create, to, **kept)

    async def post(self, path: str, **given: Any) -> dict[str, Any]:
        answer = await self.http.post(path, json=given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, path: str) -> dict[str, Any]:
        return (await self.http.get(path)).raise_for_status().json()


@asynccontextmanager
async def simulating(**config: Any) -> AsyncIterator[RunningSimulator]:
    """Both servers up. The steps of a life are 1 ms, everything is delivered unless `config` says otherwise."""
    hook = WebhookReceiver()
    hooked = InternalServer(hook, "127.0.0.1", 0)
    hook.url = hooked.url
    told = {"mix": {"delivered": 1.0}, "step_ms": 1.0, "inbound_url": f"{hook.url}/inbound", **config}
    known = msgspec.convert({"account_sid": ACCOUNT, "auth_token": TOKEN, **told}, SimulatorConfig)
    served = InternalServer(build(known), "127.0.0.1", 0)
    await hooked.listening()
    await served.listening()
    sdk = Client(ACCOUNT, TOKEN, http_client=TwilioHttpClient(timeout=20))
    sdk.api.base_url = served.url
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as http:
        yield RunningSimulator(served.url, hook, http, sdk)
    sdk.http_client.session.close()
    await asyncio.gather(served.stop(), hooked.stop())
