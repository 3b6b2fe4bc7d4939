"""The load generator: requests by topic and by HTTP, texts of people, STOPs and STARTs, and a diary of what was
acknowledged. It plays Twilio for what people text, so that nobody but the product stops a text after STOP."""

import asyncio
import random
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.dev.cast import number
from app.dev.surroundings import ACCOUNT, SERVICE, TOKEN
from app.simulator.signing import sign
from ops.chaos.deadlines import Deadlines
from ops.chaos.diary import Diary
from ops.chaos.stand import PREFIX, Stand

# A contact's row holds all its messages of a day: few messages each keep rows as small as in real life.
PEOPLE, WOBBLERS = 4000, 24
CATEGORIES = ("transactional", "transactional", "otp", "alert", "marketing")
HTTP_SHARE, AGAIN_SHARE, WOBBLER_SHARE = 0.4, 0.05, 0.3
TRIES, ANSWER_S, TOLD_S = 6, 15.0, 120.0
STEP_S = 0.4
# The last is received too soon after the STOP to count: the two may have overtaken one another.
HABITS = (("STOP",), ("START",), ("STOP", "START"), ("hello there",))


class Load:
    """See the module. `rate`: requests a second. Start inside the running loop; `stop` waits for what is open."""

    def __init__(self, stand: Stand, diary: Diary, deadlines: Deadlines, rng: random.Random, rate: float) -> None:
        self._stand, self._diary, self._deadlines, self._rng, self._rate = stand, diary, deadlines, rng, rate
        self._key = stand.api_key
        self._open: set[asyncio.Task[None]] = set()
        self._running: list[asyncio.Task[None]] = []
        self._producer: AIOKafkaProducer | None = None
        self._http: aiohttp.ClientSession | None = None
        self._fault: BaseException | None = None
        self.asked = self.acked = 0

    async def start(self) -> None:
        """Begin."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        servers = f"127.0.0.1:{self._stand.kafka_port}"
        self._producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=5)
        await self._producer.start()
        self._running = [asyncio.ensure_future(self._requests()), asyncio.ensure_future(self._texts())]

    async def stop(self) -> None:
        """No further request; wait for answers. Raises what a task of ours raised."""
        for task in self._running:
            task.cancel()
        ended = await asyncio.gather(*self._running, return_exceptions=True)
        if self._open:
            await asyncio.wait(tuple(self._open), timeout=TOLD_S)
        assert self._producer is not None and self._http is not None, "it was started"
        await self._http.close()
        await self._producer.stop()
        for fault in (self._fault, *ended):
            if isinstance(fault, Exception):
                raise fault

    def healthy(self) -> bool:
        """Whether every task of ours still runs."""
        return self._fault is None and not any(task.done() for task in self._running)

    async def _requests(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(self._rng.expovariate(self._rate))
            count += 1
            event = self._event(count)
            self.asked += 1
            again = self._rng.random() < AGAIN_SHARE
            by_http = self._rng.random() < HTTP_SHARE
            self._spawn(self._post(event, again=again) if by_http else self._produce(event, again=again))

    def _event(self, count: int) -> dict[str, Any]:
        wobbly = self._rng.random() < WOBBLER_SHARE
        person = self._rng.randrange(WOBBLERS) if wobbly else WOBBLERS + self._rng.randrange(PEOPLE)
        expires = datetime.fromtimestamp(time.time() + self._deadlines.expires, UTC)
        return {
            "type": "notify.requested.v1",
            "to": number(person),
            "body": f"Build {count} is deployed.",
            "idempotency_key": f"chaos-{count}",
            "category": self._rng.choice(CATEGORIES),
            "expires_at": expires.isoformat(),
        }

    async def _produce(self, event: dict[str, Any], *, again: bool) -> None:
        assert self._producer is not None, "it was started"
        for _ in range(2 if again else 1):
            try:
                async with asyncio.timeout(TOLD_S):
                    sent = await self._producer.send(f"{PREFIX}notify.requests", orjson.dumps(event))
                    await sent
            except (KafkaError, TimeoutError):
                return  # never acknowledged: nothing was promised
            self._acknowledged(event, "topic")

    async def _post(self, event: dict[str, Any], *, again: bool) -> None:
        url = f"http://127.0.0.1:{self._stand.ingress_port}/v1/messages"
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        status, content = 0, b""
        for _ in range(2 if again else 1):
            for attempt in range(TRIES):
                status, content = await self._asked(url, orjson.dumps(event), headers)
                if status == 202:
                    self._acknowledged(event, "http", orjson.loads(content)["message_ids"])
                    break
                await asyncio.sleep(0.3 * 2**attempt)

    def _acknowledged(self, event: dict[str, Any], way: str, ids: list[str] | None = None) -> None:
        self.acked += 1
        self._diary.note("requested", key=event["idempotency_key"], way=way, message_ids=ids or [])

    async def _asked(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body; 0 when there was no answer."""
        assert self._http is not None, "it was started"
        try:
            async with self._http.post(url, data=body, headers=headers) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, b""

    async def _texts(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / STEP_S))
            person, words = number(self._rng.randrange(WOBBLERS)), self._rng.choice(HABITS)
            self._spawn(self._habit(person, words, self._rng.uniform(0.1, 0.9)))

    async def _habit(self, person: str, words: tuple[str, ...], pause_s: float) -> None:
        for index, word in enumerate(words):
            if index:
                await asyncio.sleep(pause_s)
            await self._text(person, word)

    async def _text(self, person: str, word: str) -> None:
        """As Twilio posts it: signed, and again if nobody took it."""
        sid = f"SM{self._rng.randbytes(16).hex()}"
        fields = {"MessageSid": sid, "From": person, "To": "+15005550006", "Body": word, "NumMedia": "0"}
        fields |= {"AccountSid": ACCOUNT, "MessagingServiceSid": SERVICE, "SmsStatus": "received"}
        url = f"http://127.0.0.1:{self._stand.door_port}/twilio/inbound"
        headers = {"X-Twilio-Signature": sign(TOKEN, url, fields)}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(fields).encode()
        for attempt in range(TRIES):
            status, _ = await self._asked(url, body, headers)
            if 200 <= status < 300:
                self._diary.note("texted", sid=sid, word=word)
                return
            await asyncio.sleep(0.2 * 2**attempt)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._open.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._open.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._fault = self._fault or fault
