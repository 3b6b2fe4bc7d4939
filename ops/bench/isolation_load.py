"""Tenant B of `isolation`: what it asks for, and when the simulator had the create calls."""

import asyncio
import itertools
import time
from typing import Any, NamedTuple

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer

from app.dev import demo_checks
from app.dev.demo_data import number

TENANT, PARTITIONS = "b", 8
PATIENCE_S, LOOK_S, PAGE = 120.0, 0.2, 5000


class Segment(NamedTuple):
    """What one segment measured. `latency`: p50, p95, p99 in ms; `load`: the machine's, over the last minute; `cpu_s`:
    CPU seconds of the worker, until nothing waited; `seconds`: how long that was; `records`: of poison."""

    per_s: float
    latency: dict[str, float]
    load: float
    cpu_s: float
    seconds: float
    records: int


class Simulator:
    """When the simulator had the create call of each text of tenant B, by its own clock (one machine, one clock)."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url, self._http, self._after = url, http, -1

    async def skip(self) -> None:
        """Forget what was created until now."""
        while await self._page():
            pass

    async def created(self, bodies: set[str]) -> dict[str, float]:
        """Unix time of each create, once all of them are there."""
        found, end = dict[str, float](), time.monotonic() + PATIENCE_S
        while len(found) < len(bodies):
            page = await self._page()
            found.update((one["body"], one["created_at"]) for one in page if one["body"] in bodies)
            if time.monotonic() > end:
                missing = ", ".join(sorted(bodies - set(found))[:5])
                raise SystemExit(f"of {len(bodies)} texts not created within {PATIENCE_S:g} s: {missing} ...")
            if not page:
                await asyncio.sleep(LOOK_S)
        return found

    async def _page(self) -> list[dict[str, Any]]:
        query = {"after": str(self._after), "limit": str(PAGE)}
        async with self._http.get(f"{self._url}/_sim/creates", params=query) as answer:
            page: list[dict[str, Any]] = (await answer.json())["creates"]
        self._after = page[-1]["idx"] if page else self._after
        return page


class Load:
    """Requests of tenant B, to each partition of `notify.requests` in its turn; no two to one number."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, simulator: Simulator) -> None:
        self._producer, self._topic, self._simulator = producer, topic, simulator
        self._numbers = itertools.count()

    async def _send(self) -> str:
        n = next(self._numbers)
        body = f"Build {n} deployed."
        value = {"type": "notify.requested.v1", "tenant": TENANT, "to": number(n), "body": body, "category": "alert"}
        await self._producer.send(self._topic, orjson.dumps(value), partition=n % PARTITIONS)
        return body

    async def burst(self, messages: int) -> float:
        """Messages a second, from the first produced to the last created."""
        await self._simulator.skip()
        began = time.time()
        bodies = {await self._send() for _ in range(messages)}
        await self._producer.flush()
        return messages / (max((await self._simulator.created(bodies)).values()) - began)

    async def steady(self, per_s: float, seconds: float) -> dict[str, float]:
        """Request to create at a steady rate, ms."""
        await self._simulator.skip()
        asked, began = dict[str, float](), time.time()
        for n in range(int(per_s * seconds)):
            await asyncio.sleep(max(0.0, began + n / per_s - time.time()))
            at = time.time()
            asked[await self._send()] = at
        created = await self._simulator.created(set(asked))
        return demo_checks.percentiles([created[body] - at for body, at in asked.items()])
