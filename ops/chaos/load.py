"""The load generator: requests by topic and by HTTP, texts of people, STOPs and STARTs, and a diary of what was
acknowledged. It plays Twilio for what people text, so that nobody but the product stops a text after STOP."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.dev.demo_data import number
from app.dev.process_env import ACCOUNT
from app.simulator.signature import sign
from ops.chaos.asking import note_asking
from ops.chaos.deadlines import Deadlines
from ops.chaos.diary import Diary
from ops.chaos.stand import PREFIX, Stand
from ops.chaos.tenants_file import LANES, PRODUCED_TO, SERVICES
from ops.chaos.traffic import WOBBLERS, Traffic

HTTP_SHARE, AGAIN_SHARE, PAIR_SHARE = 0.4, 0.05, 0.1
# Of requests for later that were asked for over HTTP; a cancel comes up to so many seconds after the answer.
CANCEL_SHARE, CANCEL_S = 0.6, 3.0
# What both requests of a pair say: they leave in this order only on one lane and with one priority.
OF_A_PAIR = ("tenant", "to", "sender", "category", "priority")
TRIES, ANSWER_S, TOLD_S = 6, 15.0, 120.0
STEP_S = 0.4
# The last is received too soon after the STOP to count: the two may have overtaken one another.
HABITS = (("STOP",), ("START",), ("STOP", "START"), ("hello there",))


class Load:
    """See the module. `rate`: requests a second. Start inside the running loop; `stop` waits for what is open."""

    def __init__(self, stand: Stand, diary: Diary, deadlines: Deadlines, rng: random.Random, rate: float) -> None:
        self._stand, self._diary, self._rng, self._rate = stand, diary, rng, rate
        self._traffic = Traffic(deadlines, rng)
        self._api_keys, self._pseudonym_key = stand.keys.api_keys, stand.settings().pseudonym_key
        self._open: set[asyncio.Task[None]] = set()
        self._running: list[asyncio.Task[None]] = []
        self._producer: AIOKafkaProducer | None = None
        self._http: aiohttp.ClientSession | None = None
        self._fault: BaseException | None = None
        self.asked = self.acked = 0

    async def start(self) -> None:
        """Begin."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._stand.servers, acks="all", enable_idempotence=True, linger_ms=5
        )
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
        while True:
            await asyncio.sleep(self._rng.expovariate(self._rate))
            event = self._event()
            again = self._rng.random() < AGAIN_SHARE
            if self._rng.random() < PAIR_SHARE:
                self._spawn(self._produce(event, self._event(**{name: event[name] for name in OF_A_PAIR})))
            elif self._rng.random() < HTTP_SHARE:
                self._spawn(self._post(event, again=again))
            else:
                self._spawn(self._produce(event, *([event] if again else [])))

    def _event(self, **given: Any) -> dict[str, Any]:
        """The next request, noted; `given`: see `Traffic.event`."""
        self.asked += 1
        event = self._traffic.event(**given)
        note_asking(self._diary, self._pseudonym_key, event)
        return event

    async def _produce(self, *events: dict[str, Any]) -> None:
        """One after the other, keyed by recipient: in this order on one partition."""
        for event in events:
            first = event["to"] if isinstance(event["to"], str) else event["to"][0]
            kept = await self._kept(event, first.encode())
            if kept is None:
                return  # never acknowledged: nothing was promised
            self._acknowledged(event, "topic", partition=kept.partition, offset=kept.offset)

    async def _kept(self, event: dict[str, Any], key: bytes) -> Any:
        """Where Kafka has the record; None if it did not acknowledge it."""
        assert self._producer is not None, "it was started"
        try:
            async with asyncio.timeout(TOLD_S):
                topic = PREFIX + PRODUCED_TO[event["tenant"]]
                return await self._producer.send_and_wait(topic, orjson.dumps(event), key=key)
        except (KafkaError, TimeoutError):
            return None

    async def _post(self, event: dict[str, Any], *, again: bool) -> None:
        # The key says whose request it is.
        body = orjson.dumps({name: value for name, value in event.items() if name != "tenant"})
        ids: list[str] = []
        for _ in range(2 if again else 1):
            status, content = await self._tried("POST", "", event["tenant"], body)
            if status == 202:
                ids = orjson.loads(content)["message_ids"]
                self._acknowledged(event, "http", message_ids=ids)
        if ids and "send_at" in event and self._rng.random() < CANCEL_SHARE:
            await asyncio.sleep(self._rng.uniform(0, CANCEL_S))
            await self._cancel(event, self._rng.choice(ids))

    async def _cancel(self, event: dict[str, Any], message: str) -> None:
        """By topic or by HTTP, as chance has it."""
        tenant, way = event["tenant"], self._rng.choice(("topic", "http"))
        what = {"key": event["idempotency_key"], "way": way, "tenant": tenant, "message_id": message}
        self._diary.note("canceling", **what)
        if way == "http":
            kept = (await self._tried("DELETE", f"/{message}", tenant))[0] == 202
        else:
            cancel = {"type": "notify.canceled.v1", "tenant": tenant, "message_id": message}
            kept = await self._kept(cancel, message.encode()) is not None
        if kept:
            self._diary.note("cancel_requested", **what)

    def _acknowledged(self, event: dict[str, Any], way: str, **where: Any) -> None:
        self.acked += 1
        self._diary.note("requested", key=event["idempotency_key"], way=way, **where)

    async def _tried(self, method: str, path: str, tenant: str, body: bytes = b"") -> tuple[int, bytes]:
        """Ask /v1/messages until it says 202, a few times; the last status and body."""
        url = f"http://127.0.0.1:{self._stand.ingress_port}/v1/messages{path}"
        headers = {"Authorization": f"Bearer {self._api_keys[tenant]}", "Content-Type": "application/json"}
        status, content = 0, b""
        for attempt in range(TRIES):
            status, content = await self._asked(method, url, body, headers)
            if status == 202:
                break
            await asyncio.sleep(0.3 * 2**attempt)
        return status, content

    async def _asked(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body; 0 when there was no answer."""
        assert self._http is not None, "it was started"
        try:
            async with self._http.request(method, url, data=body, headers=headers) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, b""

    async def _texts(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / STEP_S))
            person, words = number(self._rng.randrange(WOBBLERS)), self._rng.choice(HABITS)
            tenant = self._rng.choice(tuple(LANES))
            self._spawn(self._habit(tenant, person, words, self._rng.uniform(0.1, 0.9)))

    async def _habit(self, tenant: str, person: str, words: tuple[str, ...], pause_s: float) -> None:
        for index, word in enumerate(words):
            if index:
                await asyncio.sleep(pause_s)
            await self._text(tenant, person, word)

    async def _text(self, tenant: str, person: str, word: str) -> None:
        """As Twilio posts it: signed, and again if nobody took it."""
        sid = f"SM{self._rng.randbytes(16).hex()}"
        fields = {"MessageSid": sid, "From": person, "To": "+15005550006", "Body": word, "NumMedia": "0"}
        service = SERVICES[tenant, LANES[tenant][0]]
        fields |= {"AccountSid": ACCOUNT, "MessagingServiceSid": service, "SmsStatus": "received"}
        url = f"http://127.0.0.1:{self._stand.door_port}/twilio/{tenant}/inbound"
        headers = {"X-Twilio-Signature": sign(self._stand.signing_token, url, fields)}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(fields).encode()
        self._diary.note("texting", sid=sid, word=word, sender=person, tenant=tenant)
        for attempt in range(TRIES):
            status, _ = await self._asked("POST", url, body, headers)
            if 200 <= status < 300:
                self._diary.note("texted", sid=sid, word=word, tenant=tenant)
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
