"""The demo: notify events through the whole way, and a judge at its end."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.config.settings import Settings
from app.dev import demo_checks
from app.dev.demo_data import DemoData, DemoMessage, cast, request
from app.dev.dev_cluster import SERVICE, ClusterPlan, DevCluster
from app.errors import HeliographError
from app.kafka.client import client_settings

# Shares of calls and callbacks that misbehave; see `app.simulator.faults.Faults`.
FAULTS: dict[str, dict[str, float]] = {
    "none": {},
    "throttle": {"throttle": 0.05},
    "timeouts": {"accept_then_timeout": 0.01},
    "errors": {"accept_then_500": 0.01, "error_500": 0.01},
    "callbacks": {"duplicate": 0.3, "reorder": 0.3, "late": 0.05, "before_response": 0.1},
    "duplicates": {"duplicate": 1.0},
    "lost": {"lost": 0.2},
    "all": {"throttle": 0.02, "accept_then_timeout": 0.005, "accept_then_500": 0.005, "error_500": 0.005}
    | {"duplicate": 0.2, "reorder": 0.2, "late": 0.05, "lost": 0.02, "before_response": 0.05},
}
GRACE_S, STUCK_S, CLAIM_TTL_S = 3.0, 60.0, 5.0
# Past this share of outcomes what is missing may be texts without a receipt: their deadline is no standstill.
MOSTLY = 0.7
HTTP_SHARE, HTTP_AT_ONCE = 3, 20
TIMEOUT_S = 2.0


class DemoProgress(msgspec.Struct):
    """What the screen shows."""

    total: int = 0
    requested: int = 0
    created: int = 0
    outcomes: int = 0


class DemoError(HeliographError):
    """The demo could not end: what was missing for how long."""


class Demo:
    """One run. `show` is called as it goes."""

    def __init__(self, messages: int, seed: int, faults: str, directory: Path, workers: int) -> None:
        self._cast, self._faults = cast(messages, seed), FAULTS[faults]
        self._directory, self._workers, self._seed = directory, workers, seed
        self.progress = DemoProgress(total=messages)
        self._produced: dict[str, float] = {}
        self._ended: set[str] = set()
        self._span_s = 20 + messages / 100

    def plan(self, prefix: str) -> ClusterPlan:
        """Deadlines and looks are scaled down so that a text without a receipt ends within the run."""
        extra = {
            "HELIOGRAPH_OUTCOME_GRACE_S": str(GRACE_S),
            "HELIOGRAPH_RATE": "0",
            # It asks as fast as it is answered.
            "HELIOGRAPH_API_RATE": "0",
            "HELIOGRAPH_API_ADDRESS_RATE": "0",
            "HELIOGRAPH_HTTP_TIMEOUT_S": str(TIMEOUT_S),
            "HELIOGRAPH_CLAIM_TTL_S": str(CLAIM_TTL_S),
            "HELIOGRAPH_DOUBT_AFTER_S": "8",
            "HELIOGRAPH_LOOK_AFTER_S": "5,10,15",
            "HELIOGRAPH_DOUBT_LOOK_AFTER_S": "9,12",
        }
        options = ["--seed", str(self._seed)]
        return ClusterPlan(
            directory=self._directory,
            prefix=prefix,
            workers=self._workers,
            bridge=False,
            extra=extra,
            simulator=options,
        )

    async def run(self, stand: DevCluster, show: Callable[[DemoProgress], None]) -> dict[str, Any]:
        """Send, wait for every outcome, judge. Raises DemoError when nothing moves for a minute."""
        self._settings = Settings.read(stand.env)
        self._client = client_settings(self._settings)
        self._addresses, self._prefix = stand.addresses(), self._settings.topic_prefix
        self._api_key = stand.api_key
        async with aiohttp.ClientSession() as self._http:
            async with self._http.post(f"{self._addresses['simulator']}/_sim/faults", json=self._faults) as answer:
                if answer.status != 200:
                    raise DemoError(f"the simulator does not take these faults: {await answer.text()}")
            started = time.time()
            self._expires_s = started + self._span_s
            try:
                async with asyncio.TaskGroup() as tasks:
                    reading = tasks.create_task(self._read_outcomes())
                    sending = tasks.create_task(self._send(self._cast))
                    await self._watch(stand, show, sending)
                    reading.cancel()
            except ExceptionGroup as group:
                raise _first(group) from group
            return await self._judge(started)

    async def _send(self, lines: DemoData) -> None:
        producer = AIOKafkaProducer(acks="all", linger_ms=5, **self._client)
        await producer.start()
        try:
            await self._produce(producer, lines.first)
            await asyncio.gather(*(self._text(person, "STOP") for person in lines.stoppers))
            await self._produce(producer, lines.second)
            again = [line for line in (*lines.first, *lines.second) if line.again]
            await self._produce(producer, again)
        finally:
            await producer.stop()

    async def _produce(self, producer: AIOKafkaProducer, lines: list[DemoMessage]) -> None:
        room = asyncio.Semaphore(HTTP_AT_ONCE)
        posts = []
        for index, line in enumerate(lines):
            self._produced.setdefault(line.key, time.time())
            if index % HTTP_SHARE == 0 and line.possible:
                posts.append(asyncio.ensure_future(self._post(line, room)))
            else:
                value = orjson.dumps(request(line, self._expires_s))
                await producer.send(f"{self._prefix}notify.requests", value)
            if index % 50 == 0:
                await asyncio.sleep(0)
            self.progress.requested = len(self._produced)
        await producer.flush()
        await asyncio.gather(*posts)

    async def _post(self, line: DemoMessage, room: asyncio.Semaphore) -> None:
        headers = {"Authorization": f"Bearer {self._api_key}", "Idempotency-Key": line.key}
        async with room:
            url = f"{self._addresses['ingress']}/v1/messages"
            async with self._http.post(url, json=request(line, self._expires_s), headers=headers) as answer:
                if answer.status != 202:
                    raise DemoError(f"POST /v1/messages answered {answer.status}")

    async def _text(self, person: str, body: str) -> None:
        given = {"from": person, "to": "+15005550006", "body": body, "messaging_service": SERVICE}
        async with self._http.post(f"{self._addresses['simulator']}/_sim/inbound", json=given) as answer:
            result = await answer.json()
        if result["status"] != 200:
            raise DemoError(f"the inbound webhook answered {result['status']}")

    async def _read_outcomes(self) -> None:
        consumer = AIOKafkaConsumer(
            f"{self._prefix}notify.outcomes", auto_offset_reset="earliest", enable_auto_commit=False, **self._client
        )
        await consumer.start()
        try:
            async for record in consumer:
                self._ended.add(orjson.loads(record.value)["idempotency_key"])
        finally:
            await consumer.stop()

    async def _watch(
        self, stand: DevCluster, show: Callable[[DemoProgress], None], sending: "asyncio.Task[None]"
    ) -> None:
        moved, last = time.time(), (0, 0, 0)
        while not (sending.done() and len(self._ended) >= len(self._produced)):
            for part in stand.dead():
                raise DemoError(f"{part.name} died: {part.last_line()}")
            async with self._http.get(f"{self._addresses['simulator']}/_sim/calls") as answer:
                self.progress.created = (await answer.json()).get("accepted", 0)
            self.progress.outcomes = len(self._ended)
            show(self.progress)
            now = (self.progress.requested, self.progress.created, self.progress.outcomes)
            moved, last = (time.time(), now) if now != last else (moved, last)
            if time.time() > self._patience(moved):
                missing = len(self._produced) - len(self._ended)
                raise DemoError(f"{missing} outcomes are missing and nothing moved for {STUCK_S:g} s")
            await asyncio.sleep(0.1)
        self.progress.outcomes = len(self._ended)
        show(self.progress)

    def _patience(self, moved: float) -> float:
        """Until when (unix s) nothing may move."""
        mostly = len(self._ended) >= MOSTLY * len(self._produced)
        return max(moved, self._expires_s + GRACE_S if mostly else 0) + STUCK_S

    async def _judge(self, started: float) -> dict[str, Any]:
        async with self._http.get(f"{self._addresses['simulator']}/_sim/creates") as answer:
            creates = (await answer.json())["creates"]
        outcomes = await demo_checks.read_all(f"{self._prefix}notify.outcomes", self._client)
        contacts = await demo_checks.read_all(f"{self._prefix}contacts", self._client)
        result = demo_checks.summary(self._produced, outcomes, creates, contacts, self._settings.claim_ttl_s)
        ends = sorted(at / 1000 for _, _, at, value in outcomes if value["outcome"] not in ("unconfirmed", "in_doubt"))
        spent = max(0.001, (ends[-1] if ends else time.time()) - started)
        result["messages_per_second"] = round(len(ends) / spent, 1)
        return result


def _first(group: ExceptionGroup[Exception]) -> DemoError:
    """What went wrong first, as a fault of the demo."""
    error = group.exceptions[0]
    return error if isinstance(error, DemoError) else DemoError(f"{type(error).__name__}: {error}")
