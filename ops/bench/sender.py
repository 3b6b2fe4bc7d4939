"""Creates a second of one worker, against a simulator that takes 20 ms to answer; then a storm of 429s.

First as many as it makes of a backlog, beside a bare aiohttp loop with as many requests at once, for the same
simulator. Then texts at half that rate; every create is refused with 429 for a while; then how long it takes until
creates are back at the rate of the texts, and whether each text was created exactly once. No lane limit, no status
callbacks. Exit 1 if a text was lost or created twice, or the rate was not back within 5 s.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer

sys.path.insert(0, str(Path(__file__).parent))
from fold import table

from app.dev.broker import DevBroker, free_port
from app.dev.demo_data import number
from app.dev.dev_cluster import ACCOUNT, SERVICE, ClusterPlan, DevCluster

LATENCY_MS, AT_ONCE = 20, 20
LOOK_S, SPAN_S, NEAR = 0.1, 1.0, 0.9
MOST_RATE = 150.0
# A callback would come long after the bench.
NO_CALLBACKS_MS = 86_400_000


class Simulator:
    """Its side of things."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url, self._http = url, http

    async def creates(self) -> int:
        async with self._http.get(f"{self._url}/_sim/creates?count") as answer:
            return (await answer.json())["count"]

    async def bodies(self) -> Counter[str]:
        async with self._http.get(f"{self._url}/_sim/creates") as answer:
            return Counter(create["body"] for create in (await answer.json())["creates"])

    async def refused(self) -> int:
        async with self._http.get(f"{self._url}/_sim/calls") as answer:
            return (await answer.json()).get("refused_20429", 0)

    async def refuse(self, share: float) -> None:
        async with self._http.post(f"{self._url}/_sim/faults", json={"throttle": share}) as answer:
            answer.raise_for_status()

    async def until(self, count: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        while await self.creates() < count:
            if time.monotonic() > end:
                raise SystemExit(f"only {await self.creates()} of {count} creates within {seconds:.0f} s")
            await asyncio.sleep(LOOK_S)


def run(messages: int, storm_s: float) -> dict:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        directory = Path(folder)
        given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        broker = None if given else DevBroker(free_port(), directory / "kafka")
        servers = given or broker.start()
        prefix = f"bench{int(time.time())}."
        options = ["--latency-ms", str(LATENCY_MS), "--step-ms", str(NO_CALLBACKS_MS)]
        extra = {"HELIOGRAPH_RATE": "0", "HELIOGRAPH_CALL_CONCURRENCY": str(AT_ONCE)}
        plan = ClusterPlan(
            directory=directory, kafka=servers, prefix=prefix, bridge=False, extra=extra, simulator=options
        )
        stand = DevCluster(plan, os.environ)
        try:
            addresses = stand.start()
            return asyncio.run(measure(stand, addresses["simulator"], servers, prefix, messages, storm_s))
        finally:
            stand.stop()
            if broker:
                broker.stop()


async def measure(stand: DevCluster, url: str, servers: str, prefix: str, messages: int, storm_s: float) -> dict:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5, max_batch_size=1 << 17)
    await producer.start()
    topic = f"{prefix}notify.requests"
    async with aiohttp.ClientSession() as http:
        simulator = Simulator(url, http)
        bare = await bare_rate(url, stand.env["TWILIO_AUTH_TOKEN"], messages)
        made = await simulator.creates()
        await produce(producer, topic, range(50))
        await simulator.until(made + 50, 60)
        began = time.perf_counter()
        await produce(producer, topic, range(50, 50 + messages))
        await simulator.until(made + 50 + messages, 300)
        rate = messages / (time.perf_counter() - began)
        storm = await through_a_storm(simulator, producer, topic, 50 + messages, min(MOST_RATE, rate / 2), storm_s)
        await producer.stop()
    return {
        "messages": messages,
        "latency_ms": LATENCY_MS,
        "creates_per_second": round(rate),
        "bare_loop_creates_per_second": round(bare),
        "ratio_to_bare_loop": round(rate / bare, 3),
        **storm,
    }


async def bare_rate(url: str, token: str, count: int) -> float:
    """The same form, `AT_ONCE` at once, nothing else done."""
    form = {"To": number(0), "MessagingServiceSid": SERVICE, "ValidityPeriod": "600"}
    left = iter(range(count))
    auth = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, token)}
    async with aiohttp.ClientSession(headers=auth) as http:

        async def one_after_another() -> None:
            for n in left:
                target = f"{url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
                async with http.post(target, data={**form, "Body": f"Bare {n}."}) as answer:
                    await answer.read()
                    answer.raise_for_status()

        began = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
        return count / (time.perf_counter() - began)


async def through_a_storm(
    simulator: Simulator, producer: AIOKafkaProducer, topic: str, first: int, rate: float, storm_s: float
) -> dict:
    asked: list[int] = []
    feeding = asyncio.create_task(feed(producer, topic, first, rate, asked))
    counted: list[tuple[float, int]] = []
    watching = asyncio.create_task(watch(simulator, counted))
    await asyncio.sleep(5)
    calm = statistics.median(rates(counted))
    await simulator.refuse(1.0)
    still = await simulator.creates()
    await asyncio.sleep(storm_s)
    within = await simulator.creates() - still
    await simulator.refuse(0.0)
    over = time.monotonic()
    back_s = await back_at(counted, over, NEAR * min(calm, rate))
    feeding.cancel()
    # Those refused several times over wait for up to a minute each.
    await finished(simulator, asked, 180)
    watching.cancel()
    bodies = await simulator.bodies()
    return {
        "storm_seconds": storm_s,
        "storm_texts_per_second": round(rate),
        "storm_refusals": await simulator.refused(),
        "storm_creates_within": within,
        "back_at_rate_after_s": back_s,
        "lost": sum(not bodies[body(n)] for n in asked),
        "twice": sum(bodies[body(n)] > 1 for n in asked),
    }


async def feed(producer: AIOKafkaProducer, topic: str, first: int, rate: float, asked: list[int]) -> None:
    began = time.monotonic()
    while True:
        while len(asked) < (time.monotonic() - began) * rate:
            n = first + len(asked)
            await producer.send(topic, request(n))
            asked.append(n)
        await asyncio.sleep(0.01)


async def watch(simulator: Simulator, counted: list[tuple[float, int]]) -> None:
    while True:
        counted.append((time.monotonic(), await simulator.creates()))
        await asyncio.sleep(LOOK_S)


def rates(counted: list[tuple[float, int]], since: float = 0.0) -> list[float]:
    """Creates a second over each span of `SPAN_S` that begins after `since`."""
    found = []
    for at, count in counted:
        if at >= since and (later := next((c for c in counted if c[0] >= at + SPAN_S), None)):
            found.append((later[1] - count) / (later[0] - at))
    return found


async def back_at(counted: list[tuple[float, int]], over: float, wanted: float) -> float:
    """Seconds from `over` to the end of the first span at the wanted rate; 60 at most."""
    while time.monotonic() < over + 60:
        spans = [c for c in counted if c[0] >= over]
        for at, count in spans:
            later = next((c for c in spans if c[0] >= at + SPAN_S), None)
            if later and (later[1] - count) / (later[0] - at) >= wanted:
                return round(later[0] - over, 1)
        await asyncio.sleep(LOOK_S)
    return 60.0


async def finished(simulator: Simulator, asked: list[int], seconds: float) -> None:
    """Every text was created, or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        bodies = await simulator.bodies()
        if all(bodies[body(n)] for n in asked):
            return
        await asyncio.sleep(1)


async def produce(producer: AIOKafkaProducer, topic: str, numbers: range) -> None:
    for n in numbers:
        await producer.send(topic, request(n))
    await producer.flush()


def body(n: int) -> str:
    return f"Build {n} deployed."


def request(n: int) -> bytes:
    return orjson.dumps(
        {"type": "notify.requested.v1", "to": number(n), "body": body(n), "idempotency_key": f"bench-{n}"}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--storm-seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = run(given.messages, given.storm_seconds)
    print(json.dumps(result) if given.json else table(result))
    sys.exit(0 if not result["lost"] and not result["twice"] and result["back_at_rate_after_s"] <= 5 else 1)


if __name__ == "__main__":
    main()
