"""The door on a real socket, in front of a Kafka that can be taken away; two tenants; signed webhooks."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, TopicAuthorizationFailedError

from app.config.api_keys import ApiKeys
from app.config.settings import Settings
from app.config.tenants import LaneConfig, Tenant
from app.ingress.app import Ingress
from app.ingress.durable.record import LogRecord
from app.internal_server import InternalServer
from app.kafka.progress_monitor import WorkerMonitor
from app.provider.webhooks import signature
from app.read_model.reader import ReadModel
from app.records.seal import Sealer
from tests.support.keyring import ACME_KEY, API_KEYS

PUBLIC = "https://hooks.example.com"
ACME, BETA = "AC" + "a" * 32, "AC" + "b" * 32
MESSAGE = "0123456789abcdef0123-0123456789abcdef0123"
SID, PERSON, NUMBER = "SM" + "c" * 32, "+14155550123", "+15005550006"
KEYS = {"HELIOGRAPH_PSEUDONYM_KEY": "11" * 32, "HELIOGRAPH_SEAL_KEYS": "k1:" + "22" * 32}
# No test asks too often unless it means to.
UNLIMITED = {"HELIOGRAPH_API_RATE": "0", "HELIOGRAPH_API_ADDRESS_RATE": "0"}


async def eventually(look: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `look` returns once it is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, "never true"
        await asyncio.sleep(0.005)
    return seen


class FakeKafka:
    """Takes records while `here`. `silent`: takes none and says nothing; `breaks`: so many sends break their line;
    `refused`: a value that it takes of nobody, nor what is sent together with it; `forbidden`: topics that we may not
    write; `opened`, `closed`: lines made and ended so far."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self.here, self.silent, self.opened, self.breaks, self.closed = True, False, 0, 0, 0
        self.refused: bytes | None = None
        self.forbidden: set[str] = set()

    async def open(self) -> "FakeLine":
        if not self.here:
            raise KafkaConnectionError
        self.opened += 1
        return FakeLine(self)

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [msgspec.json.decode(record.value) for record in self.records if record.topic == topic]


class FakeLine:
    """A line that breaks when its Kafka goes."""

    def __init__(self, kafka: FakeKafka) -> None:
        self._kafka, self._broken = kafka, False

    def enter(self, record: LogRecord) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        acked: asyncio.Future[None] = loop.create_future()
        loop.create_task(self.send_all([record])).add_done_callback(lambda task: _tell(acked, task))
        return acked

    async def send_all(self, records: list[LogRecord]) -> None:
        if self._kafka.silent:
            await asyncio.Event().wait()
        if self._kafka.breaks > 0:
            self._kafka.breaks -= 1
            self._broken = True
        if self._broken or not self._kafka.here:
            raise KafkaConnectionError
        if any(record.value == self._kafka.refused for record in records):
            self._broken = True
            raise MessageSizeTooLargeError
        # A real broker takes what is allowed of them all the same.
        self._kafka.records += [record for record in records if record.topic not in self._kafka.forbidden]
        if any(record.topic in self._kafka.forbidden for record in records):
            self._broken = True
            raise TopicAuthorizationFailedError

    async def close(self) -> None:
        self._kafka.closed += 1

    async def drop(self) -> None:
        self._kafka.closed += 1


def _tell(acked: asyncio.Future[None], sent: asyncio.Task[None]) -> None:
    if acked.done() or sent.cancelled():
        return
    if (error := sent.exception()) is not None:
        acked.set_exception(error)
    else:
        acked.set_result(None)


def tenant(name: str, account: str, **given: Any) -> Tenant:
    defaults = {
        "name": name,
        "account_sid": account,
        "auth_tokens": (f"token-of-{name}",),
        "status_callback_url": f"{PUBLIC}/twilio/status#rc=5&rp=all",
        "inbound_url": f"{PUBLIC}/twilio/inbound",
        "lanes": {"main": LaneConfig(from_number=NUMBER)},
    }
    return Tenant(**{**defaults, **given})


class IngressServer:
    """One door. `post` signs a form as the tenant named; `api` asks /v1 with its key."""

    def __init__(self, ingress: Ingress, kafka: FakeKafka, client: httpx.AsyncClient, internal: str) -> None:
        self.ingress, self.kafka, self.http, self.internal = ingress, kafka, client, internal

    async def post(
        self, path: str, form: dict[str, str], secret: str = "token-of-acme", **given: Any
    ) -> httpx.Response:
        url = given.pop("signed_url", PUBLIC + path)
        sent = signature(secret, url, list(form.items()))
        headers = {"X-Twilio-Signature": sent, "Content-Type": "application/x-www-form-urlencoded"}
        return await self.http.post(
            path, content=urlencode(form, errors="surrogatepass"), headers={**headers, **given.pop("headers", {})}
        )

    async def report(self, query: str = f"?m={MESSAGE}&a=1", **fields: str) -> httpx.Response:
        form = {"MessageSid": SID, "MessageStatus": "sent", "AccountSid": ACME, "To": PERSON, "Note": "", **fields}
        return await self.post("/twilio/status" + query, form)

    async def text(self, body: str, path: str = "/twilio/inbound", **fields: str) -> httpx.Response:
        form = {"MessageSid": SID, "From": PERSON, "To": NUMBER, "Body": body, "AccountSid": ACME, **fields}
        return await self.post(path, form)

    async def json(self, url: str, value: Any, secret: str = "token-of-acme", **headers: str) -> httpx.Response:
        """A JSON webhook, its hash in the query."""
        body = value if isinstance(value, bytes) else msgspec.json.encode(value)
        path = f"{url}{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(body).hexdigest()}"
        given = {"X-Twilio-Signature": signature(secret, PUBLIC + path, ()), "Content-Type": "application/json"}
        return await self.http.post(path, content=body, headers={**given, **headers})

    async def ask(self, body: Any, key: str = ACME_KEY, **headers: str | bytes) -> httpx.Response:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/v1/messages", content=raw, headers=given)

    def sealer(self) -> Sealer:
        return Sealer({"k1": bytes.fromhex("22" * 32)})


@asynccontextmanager
async def door(
    path: Path,
    kafka: FakeKafka | None = None,
    body_s: float = 10.0,
    head_s: float = 5.0,
    workers: WorkerMonitor | None = None,
    read_model: ReadModel | None = None,
    keys: ApiKeys = API_KEYS,
    extra: Mapping[str, str] = UNLIMITED,
    **acme: Any,
) -> AsyncIterator[IngressServer]:
    """Tenants acme and beta; topics without prefix. `extra`: further settings."""
    kafka = kafka or FakeKafka()
    tenants = {"acme": tenant("acme", ACME, **acme), "beta": tenant("beta", BETA)}
    settings = Settings.read({**KEYS, **extra, "HELIOGRAPH_SPOOL_DIR": str(path / "spool")})
    faults: list[BaseException] = []
    ingress = Ingress(settings, tenants, kafka.open, faults.append, body_s, head_s, workers, read_model, keys)  # type: ignore[arg-type] # a fake line
    await ingress.start()
    public = InternalServer(ingress.public(), "127.0.0.1", 0, ingress.connections)
    internal = InternalServer(ingress.internal(), "127.0.0.1", 0)
    await public.listening()
    await internal.listening()
    async with httpx.AsyncClient(base_url=public.url) as client:
        yield IngressServer(ingress, kafka, client, internal.url)
    await asyncio.gather(public.stop(), internal.stop())
    await ingress.stop()
    assert faults == []
