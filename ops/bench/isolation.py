"""What tenant B has of a worker while tenant A sends poison, beside what it has alone.

One stand: broker, simulator, ingress, one worker, two tenants with a lane each, without a limit. Segments of "B alone"
and "B while A sends this kind" take turns in one life of these processes; each kind is compared with the segments of B
alone right before and after it; its ratio is the median over the rounds. Exit 1 if a ratio misses its target.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaProducer
from confluent_kafka import Consumer, TopicPartition

sys.path.insert(0, str(Path(__file__).parent))
from fold import cpu_s, peak_mb
from isolation_load import PARTITIONS, Load, Segment, Simulator
from poison_kinds import KINDS

from app.dev.broker import DevBroker, free_port
from app.dev.dev_cluster import ClusterPlan, DevCluster
from app.dev.process_env import simulated

# What a worker without work takes of a core.
IDLE_CPU = 0.1
LEAST_THROUGHPUT, MOST_P99 = 0.90, 1.25
SETTLE_S, LOOK_S, LEAD_S = 180.0, 0.3, 1.0
SOURCES = ("notify.requests", "contacts", "lanes", "notify.updates", "bulk")
TENANT = """
[tenants.{name}]
shared_requests = true
account_sid = "{TWILIO_ACCOUNT_SID}"
auth_tokens = ["{TWILIO_AUTH_TOKEN}"]
status_callback_url = "{TWILIO_STATUS_CALLBACK_URL}/{name}"
inbound_url = "{TWILIO_INBOUND_WEBHOOK_PUBLIC_URL}/{name}"
[tenants.{name}.lanes.main]
messaging_service_sid = "{TWILIO_MESSAGING_SERVICE_SID}"
rate = 0
"""


class Bench:
    """A stand that runs. `options`: those of the command."""

    def __init__(self, stand: DevCluster, servers: str, load: Load, options: argparse.Namespace) -> None:
        self._stand, self._servers, self._load, self._options = stand, servers, load, options
        self._prefix, self._runs = stand.plan.prefix, 0
        self._lags = Lags(servers, self._prefix)

    async def rounds(self) -> dict[str, Any]:
        for kind in self._options.kinds:
            if KINDS[kind].before:
                await self._prepare(kind)
        await self._load.burst(self._options.messages)
        await self._settle()
        alone, pairs = list[Segment](), {kind: list[tuple[Segment, Segment, Segment]]() for kind in self._options.kinds}
        for turn in range(self._options.rounds):
            before = await self._segment("")
            for kind in rotated(self._options.kinds, turn):
                beside, after = await self._segment(kind), await self._segment("")
                pairs[kind].append((before, beside, after))
                alone.append(before)
                before = after
            alone.append(before)
        return {"alone": summary(alone), **{kind: compared(found) for kind, found in pairs.items()}}

    async def _prepare(self, kind: str) -> None:
        process = self._process(kind)
        process.communicate("before\n")
        await self._settle()

    async def _segment(self, kind: str) -> Segment:
        options, cpu, began = self._options, self._cpu_s(), time.monotonic()
        with self._poison(kind) as sent:
            await asyncio.sleep(LEAD_S)
            latency = await self._load.steady(options.rate, options.seconds)
            per_s = await self._load.burst(options.messages)
        await self._settle()
        spent, took = self._cpu_s() - cpu, time.monotonic() - began
        segment = Segment(per_s, latency, os.getloadavg()[0], spent, took, sum(sent))
        print(f"{kind or 'alone':18} {per_s:6.0f}/s {latency} load {segment.load:.1f}", file=sys.stderr, flush=True)
        return segment

    def _cpu_s(self) -> float:
        return cpu_s(self._stand.parts["worker-1"].pid)

    def _process(self, kind: str) -> "subprocess.Popen[str]":
        self._runs += 1
        run = f"{self._prefix}{kind}-{self._runs}"
        command = [sys.executable, "ops/bench/poison.py", kind, self._servers, f"{self._prefix}notify.requests", run]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout and process.stdout.readline() == "ready\n"
        return process

    @contextmanager
    def _poison(self, kind: str) -> Iterator[list[int]]:
        """Tenant A sends this kind meanwhile, as fast as it should. Gives a list: how many records, at the end."""
        sent = list[int]()
        if not kind:
            yield sent
            return
        process, began = self._process(kind), time.monotonic()
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
        try:
            yield sent
            said, wanted = process.communicate("stop\n")[0], KINDS[kind].per_s * (time.monotonic() - began)
        finally:
            process.kill()
        if process.returncode or int(said) < 0.8 * wanted - 2:
            raise SystemExit(f"{kind}: {said.strip()} records were acknowledged, not {wanted:.0f}")
        sent.append(int(said))

    async def _settle(self) -> None:
        """Nothing waits any more, and no process has ended."""
        end, still = time.monotonic() + SETTLE_S, 0
        while still < 2:
            if dead := self._stand.dead():
                raise SystemExit(f"{dead[0].name} ended: {dead[0].last_line()}")
            if time.monotonic() > end:
                raise SystemExit(f"after {SETTLE_S:g} s something still waits: {self._lags.all()}")
            await asyncio.sleep(LOOK_S)
            still = still + 1 if not any((await asyncio.to_thread(self._lags.all)).values()) else 0


class Lags:
    """Records that the workers have not committed."""

    def __init__(self, servers: str, prefix: str) -> None:
        given = {"bootstrap.servers": servers, "group.id": f"{prefix}heliograph", "log_level": 0}
        self._consumer = Consumer(given)
        self._prefix = prefix

    def all(self) -> dict[str, int]:
        """By topic."""
        return {topic: self._of(self._prefix + topic) for topic in SOURCES}

    def _of(self, topic: str) -> int:
        places = self._consumer.committed([TopicPartition(topic, n) for n in range(PARTITIONS)], timeout=10)
        ends = [self._consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
        return sum(end - max(0, place.offset) for end, place in zip(ends, places, strict=True))


def rotated(kinds: Sequence[str], turn: int) -> list[str]:
    """Each round begins with another kind."""
    first = turn % len(kinds) if kinds else 0
    return [*kinds[first:], *kinds[:first]]


def summary(segments: Sequence[Segment]) -> dict[str, Any]:
    """Medians."""
    return {
        "messages_per_second": round(statistics.median(one.per_s for one in segments)),
        "p50_ms": round(statistics.median(one.latency["p50"] for one in segments), 1),
        "p99_ms": round(statistics.median(one.latency["p99"] for one in segments), 1),
    }


def compared(found: Sequence[tuple[Segment, Segment, Segment]]) -> dict[str, Any]:
    """Medians, the median ratios to B alone, and the least and the greatest ratio of a round."""
    rates = [beside.per_s * 2 / (before.per_s + after.per_s) for before, beside, after in found]
    ends = {name: [_latency_ratio(name, *three) for three in found] for name in ("p50", "p99")}
    ratios = {"throughput": rates, **ends}
    told: dict[str, Any] = summary([beside for _, beside, _ in found])
    for name, values in ratios.items():
        told[f"{name}_ratio"] = round(statistics.median(values), 2)
        told[f"{name}_spread"] = [round(min(values), 2), round(max(values), 2)]
    told["cpu_ms_per_record"] = round(statistics.median(_cpu_ms(*three) for three in found), 1)
    good = told["throughput_ratio"] >= LEAST_THROUGHPUT and told["p99_ratio"] <= MOST_P99
    return {**told, "within_targets": good}


def _cpu_ms(before: Segment, beside: Segment, after: Segment) -> float:
    """CPU of the worker for one record of poison: B's work is the same in all three, and so is what an idle one takes
    in a second."""
    idle = (before.cpu_s + after.cpu_s) / 2
    longer_s = beside.seconds - (before.seconds + after.seconds) / 2
    return (beside.cpu_s - idle - longer_s * IDLE_CPU) / beside.records * 1000


def _latency_ratio(name: str, before: Segment, beside: Segment, after: Segment) -> float:
    return beside.latency[name] * 2 / (before.latency[name] + after.latency[name])


def run(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        directory = Path(folder)
        given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        broker = None if given else DevBroker(free_port(), directory / "kafka")
        servers = given or broker.start()
        stand = DevCluster(plan(directory, servers), os.environ)
        try:
            return asyncio.run(measure(stand, servers, options))
        finally:
            stand.stop()
            if broker:
                broker.stop()


def plan(directory: Path, servers: str) -> ClusterPlan:
    ports = {"ingress": free_port(), "simulator": free_port()}
    tenants = directory / "tenants.toml"
    tenants.write_text("".join(TENANT.format(name=name, **simulated(*ports.values())) for name in ("a", "b")))
    return ClusterPlan(
        directory=directory,
        kafka=servers,
        prefix=f"bench{int(time.time())}.",
        bridge=False,
        ports=ports,
        extra={"HELIOGRAPH_CONFIG": str(tenants)},
        simulator=["--mix", '{"delivered": 1.0}', "--step-ms", "20"],
        program=(str(Path(__file__).with_name("isolation_worker.py")),),
    )


async def measure(stand: DevCluster, servers: str, options: argparse.Namespace) -> dict[str, Any]:
    addresses = await asyncio.to_thread(stand.start)
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5, max_batch_size=1 << 17)
    await producer.start()
    pid, load = stand.parts["worker-1"].pid, [os.getloadavg()[0]]
    try:
        async with aiohttp.ClientSession() as http:
            tenant = Load(producer, f"{stand.plan.prefix}notify.requests", Simulator(addresses["simulator"], http))
            kinds = await Bench(stand, servers, tenant, options).rounds()
    finally:
        await producer.stop()
    load.append(os.getloadavg()[0])
    return {
        "rounds": options.rounds,
        "steady_per_second": options.rate,
        "burst_messages": options.messages,
        "load_average": [round(one, 1) for one in load],
        "worker_cpu_s": round(cpu_s(pid), 1),
        "worker_peak_mb": peak_mb(pid),
        "kinds": kinds,
    }


def table(result: dict[str, Any]) -> str:
    """One line for each kind."""
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in result.items() if name != "kinds"]
    lines += [
        f"{'':20}{'per s':>7}{'ratio':>7}{'spread':>14}{'p50':>8}{'p99 ms':>8}{'ratio':>7}{'spread':>14}{'CPU ms':>8}"
    ]
    for name, one in result["kinds"].items():
        line = f"{name:20}{one['messages_per_second']:7}"
        if "throughput_ratio" in one:
            line += f"{one['throughput_ratio']:7.2f}{one['throughput_spread']!s:>14}{one['p50_ms']:8}{one['p99_ms']:8}"
            line += f"{one['p99_ratio']:7.2f}{one['p99_spread']!s:>14}{one['cpu_ms_per_record']:8}"
            line += "" if one["within_targets"] else "  misses"
        else:
            line += f"{'':21}{one['p50_ms']:8}{one['p99_ms']:8}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", default=",".join(KINDS), type=lambda text: [one for one in text.split(",") if one])
    parser.add_argument("--seconds", type=float, default=10.0, help="of B's steady rate in each segment")
    parser.add_argument("--rate", type=float, default=20.0, help="B's steady rate, messages a second")
    parser.add_argument("--messages", type=int, default=1000, help="in B's burst in each segment")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    result = run(options)
    print(json.dumps(result) if options.json else table(result))
    good = all(one.get("within_targets", True) for one in result["kinds"].values())
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
