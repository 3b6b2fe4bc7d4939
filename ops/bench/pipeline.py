"""Request to outcome: broker, simulator, ingress and one worker on one machine, four reports a message, no lane limit.

Then 50 messages a second, for the time from request to create. The floor is a raw aiokafka loop over the same log.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer

sys.path.insert(0, str(Path(__file__).parent))
from fold import cpu_s, lag, outcomes, peak_mb, table, wait

from app.dev import demo_checks
from app.dev.broker import DevBroker, free_port
from app.dev.demo_data import number
from app.dev.dev_cluster import ClusterPlan, DevCluster

ROOT = Path(__file__).parents[2]


def run(messages: int, trickle_s: float) -> dict:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        directory = Path(folder)
        given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        broker = None if given else DevBroker(free_port(), directory / "kafka")
        servers = given or broker.start()
        prefix = f"bench{int(time.time())}."
        options = ["--mix", '{"delivered": 1.0}', "--step-ms", "20"]
        extra = {"HELIOGRAPH_RATE": "0"}
        plan = ClusterPlan(
            directory=directory, kafka=servers, prefix=prefix, bridge=False, extra=extra, simulator=options
        )
        stand = DevCluster(plan, os.environ)
        try:
            addresses = stand.start()
            return asyncio.run(measure(stand, addresses, servers, prefix, messages, trickle_s))
        finally:
            stand.stop()
            if broker:
                broker.stop()


async def measure(stand, addresses, servers, prefix, messages, trickle_s) -> dict:
    worker = stand.parts["worker-1"].pid
    await warm(servers, prefix)
    await asyncio.to_thread(wait, lambda: outcomes(servers, f"{prefix}notify.outcomes") >= 50)
    cpu, began = cpu_s(worker), time.perf_counter()
    await produce(servers, prefix, range(50, 50 + messages))
    await asyncio.to_thread(wait, lambda: outcomes(servers, f"{prefix}notify.outcomes") >= 50 + messages, 300)
    took = time.perf_counter() - began
    spent, peak = cpu_s(worker) - cpu, peak_mb(worker)
    await asyncio.to_thread(wait, lambda: lag(servers, f"{prefix}heliograph", f"{prefix}notify.updates") == 0)
    latency = await trickle(addresses, servers, prefix, trickle_s)
    raw = raw_loop(servers, f"{prefix}contacts", messages * 4)
    rate = messages / took
    return {
        "messages": messages,
        "messages_per_second": round(rate),
        "reports_per_second": round(rate * 4),
        "raw_loop_reports_per_second": round(raw),
        "ratio_to_raw_loop": round(rate * 4 / raw, 4),
        "worker_cpu_s_per_1000": round(spent / messages * 1000, 3),
        "worker_peak_mb": peak,
        "request_to_create_ms_at_50_per_second": latency,
    }


async def warm(servers: str, prefix: str) -> None:
    await produce(servers, prefix, range(50))


async def produce(servers: str, prefix: str, numbers: range) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5, max_batch_size=1 << 17)
    await producer.start()
    for n in numbers:
        await producer.send(f"{prefix}notify.requests", request(n))
    await producer.flush()
    await producer.stop()


def request(n: int) -> bytes:
    return orjson.dumps(
        {
            "type": "notify.requested.v1",
            "to": number(n),
            "body": f"Build {n} deployed.",
            "idempotency_key": f"bench-{n}",
        }
    )


async def trickle(addresses, servers: str, prefix: str, seconds: float) -> dict:
    """50 requests a second; request to create as the simulator's clock has it (one machine, one clock)."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await producer.start()
    asked, start = {}, time.time()
    for i in range(int(50 * seconds)):
        await asyncio.sleep(max(0.0, start + i / 50 - time.time()))
        n = 10_000_000 + i
        asked[f"Build {n} deployed."] = time.time()
        await producer.send(f"{prefix}notify.requests", request(n))
    await producer.stop()
    created = {}
    async with aiohttp.ClientSession() as http:
        end = time.monotonic() + 60
        while len(created) < len(asked) and time.monotonic() < end:
            async with http.get(f"{addresses['simulator']}/_sim/creates") as answer:
                created = {c["body"]: c["created_at"] for c in (await answer.json())["creates"] if c["body"] in asked}
            await asyncio.sleep(0.2)
    return demo_checks.percentiles([created[body] - at for body, at in asked.items()])


def raw_loop(servers: str, topic: str, count: int) -> float:
    prefix = topic.removesuffix("contacts")
    command = [
        sys.executable,
        "ops/bench/rawloop.py",
        servers,
        topic,
        f"{prefix}notify.consent",
        f"{prefix}notify.inbound",
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, str(count)], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--trickle-seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = run(given.messages, given.trickle_seconds)
    print(json.dumps(result) if given.json else table(result))


if __name__ == "__main__":
    main()
