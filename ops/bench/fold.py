"""The status fold alone: preloaded reports through the real contacts agent, beside a raw loop over them.

The first part of the log (request, turn, answer of each message) is folded before the clock starts. Measured twice,
each beside a raw loop of its own minute: the contacts agent alone in its process, and the whole worker, whose metrics
agent reads every update that the contacts agent writes.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from app.config.settings import Settings
from app.dev.broker import DevBroker, free_port
from app.dev.dev_cluster import ClusterPlan, DevCluster
from app.dev.process import ChildProcess
from app.domain.model.identity import contact_id, key_fingerprint, message_id
from app.domain.model.inputs import CreateReturned, DeliveryReported, MessageRequested, PermitGranted
from app.domain.model.policy import Policy
from app.domain.model.vocabulary import Category, CreateResult, DeliveryStatus, Priority
from app.records.caller_fields import CallerFields, encode_caller_fields
from app.records.seal import Sealer
from app.streams.engine.producer import partition_of

ROOT = Path(__file__).parents[2]
ALONE = (str(Path(__file__).with_name("contacts_worker.py")),)
STEPS = (DeliveryStatus.QUEUED, DeliveryStatus.SENDING, DeliveryStatus.SENT, DeliveryStatus.DELIVERED)
encode = msgspec.json.Encoder().encode


def opening(n: int, pk: str, now: int, sealer: Sealer) -> tuple[bytes, list[bytes], str]:
    """Key, and the records that make message `n` accepted by Twilio; `sealer`: of the worker that folds them."""
    bench = b"bench" * 8
    contact = contact_id(bench, "default", f"+1{n}")
    message = message_id(bench, "default", str(n), contact)
    base = {"id": str(n), "tenant": "default", "pk": pk, "at": now}
    caller_fields = encode_caller_fields(CallerFields(f"bench-{n}"))
    policy = Policy(
        lane="default",
        priority=Priority.NORMAL,
        category=Category.TRANSACTIONAL,
        segments=1,
        expires_ms=now + 86_400_000,
        outcome_ms=now + 2 * 86_400_000,
        retry_delays_ms=(30_000, 120_000),
    )
    requested = MessageRequested(
        **base,
        message_id=message,
        fingerprint="0123456789abcdef",
        sealed="k1." + "x" * 180,
        sealed_to="k1." + "x" * 80,
        sealed_caller_fields=sealer.seal(caller_fields, "default", message),
        masked="•••0123",
        country="US",
        policy=policy,
        requested_ms=now,
        source=f"notify.requests-0-{n}",
    )
    turn = PermitGranted(**base, message_id=message, attempt=1, lane="default")
    answer = CreateReturned(
        **base, message_id=message, attempt=1, answer=CreateResult.TAKEN, sid=sid(n), started_ms=now
    )
    return contact.encode(), [encode(requested), encode(turn), encode(answer)], message


def sid(n: int) -> str:
    return f"SM{n:032x}"


def reports(messages: int, ids: list[tuple[bytes, str]], pk: str, now: int) -> list[tuple[bytes, bytes]]:
    """Five reports a message, one of them a repeat, shuffled within about a thousand records."""
    rng, slots = random.Random(7), []
    for n in range(messages):
        for k, progress in enumerate((*STEPS, rng.choice(STEPS[:3]))):
            slots.append((n * 5 + k * 150 + rng.random() * 350, n, progress))
    slots.sort()
    made = []
    for at, n, progress in slots:
        key, message = ids[n]
        given = {"id": f"{at:.3f}", "tenant": "default", "pk": pk, "at": now, "message_id": message, "attempt": 1}
        status = progress.name.lower()
        made.append((key, encode(DeliveryReported(**given, sid=sid(n), progress=progress, status=status))))
    return made


async def load(servers: str, topic: str, partitions: int, records: list[tuple[bytes, bytes]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", max_batch_size=1 << 18, linger_ms=5)
    await producer.start()
    for key, value in records:
        await producer.send(topic, value, key, partition=partition_of(key, partitions))
    await producer.flush()
    await producer.stop()


def outcomes(servers: str, topic: str) -> int:
    """Records on the outcomes topic now."""
    from confluent_kafka import TopicPartition

    asker = _asker(servers)
    return sum(asker.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1] for n in range(8))


@lru_cache
def _asker(servers: str) -> Any:
    """One for all questions: to make one anew takes a share of the two cores that are measured."""
    from confluent_kafka import Consumer

    return Consumer({"bootstrap.servers": servers, "group.id": "bench", "log_level": 0})


def lag(servers: str, group: str, topic: str) -> int:
    """Records of the topic that the group has not committed."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": group})
    places = consumer.committed([TopicPartition(topic, n) for n in range(8)], timeout=10)
    left = sum(consumer.get_watermark_offsets(p, timeout=10)[1] - max(0, p.offset) for p in places)
    consumer.close()
    return left


def run(messages: int) -> dict:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        directory = Path(folder)
        given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        broker = None if given else DevBroker(free_port(), directory / "kafka")
        servers = given or broker.start()
        try:
            alone = measured(directory / "alone", servers, messages, ALONE)
            whole = measured(directory / "whole", servers, messages, ("-m", "app"))
        finally:
            if broker:
                broker.stop()
    return {**alone, **{f"whole_worker_{name}": value for name, value in whole.items() if name != "reports"}}


class Folding(DevCluster):
    """A stand whose worker runs `program`."""

    def __init__(self, plan: ClusterPlan, env: Mapping[str, str], program: tuple[str, ...]) -> None:
        super().__init__(plan, env)
        self._program = program

    def add_worker(self, number: int) -> ChildProcess:
        """Start a worker of this program in place of the product's own."""
        folder, log = self.plan.directory / "worker", self.plan.directory / "logs" / "worker.log"
        env = {**self.env, "HELIOGRAPH_DATA_DIR": str(folder), "HELIOGRAPH_INTERNAL_PORT": "0"}
        part = ChildProcess(f"worker-{number}", ["worker"] if self._program[0] == "-m" else [], env, log, self._program)
        self.parts[part.name] = part
        part.start()
        return part


def measured(directory: Path, servers: str, messages: int, program: tuple[str, ...]) -> dict:
    prefix = f"bench{int(time.time())}."
    plan = ClusterPlan(directory=directory, kafka=servers, prefix=prefix, bridge=False, extra={"HELIOGRAPH_RATE": "0"})
    stand = Folding(plan, os.environ, program)
    try:
        stand.start()
        return measure(stand, servers, prefix, messages)
    finally:
        stand.stop()


def measure(stand: DevCluster, servers: str, prefix: str, messages: int) -> dict:
    worker = stand.parts["worker-1"]
    pk = key_fingerprint(bytes.fromhex(stand.env["HELIOGRAPH_PSEUDONYM_KEY"]))
    now, topic, group = int(time.time() * 1000), f"{prefix}contacts", f"{prefix}heliograph"
    sealer = Sealer(Settings.read(stand.env).seal_keys)
    openings = [opening(n, pk, now, sealer) for n in range(messages)]
    asyncio.run(load(servers, topic, 8, [(key, value) for key, values, _ in openings for value in values]))
    wait(lambda: lag(servers, group, topic) == 0)
    worker.stop()
    asyncio.run(load(servers, topic, 8, reports(messages, [(k, m) for k, _, m in openings], pk, now)))
    raw = raw_loop(servers, topic, prefix, messages * 5)
    before = outcomes(servers, f"{prefix}notify.outcomes")
    worker.start()
    worker.wait()
    cpu, began = cpu_s(worker.pid), time.perf_counter()
    folded = lag(servers, group, topic)
    wait(lambda: outcomes(servers, f"{prefix}notify.outcomes") - before >= messages)
    took = time.perf_counter() - began
    wait(lambda: lag(servers, group, topic) == 0)
    rate = folded / took
    return {
        "reports": messages * 5,
        "raw_loop_per_second": round(raw),
        "contacts_agent_per_second": round(rate),
        "ratio": round(rate / raw, 3),
        "cpu_us_per_report": round((cpu_s(worker.pid) - cpu) / folded * 1e6, 1),
        "peak_mb": peak_mb(worker.pid),
    }


def raw_loop(servers: str, topic: str, prefix: str, count: int) -> float:
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


def wait(condition, seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the bench did not end in time")
        time.sleep(0.1)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> int:
    line = next(row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def table(result: dict) -> str:
    return "\n".join(f"{name.replace('_', ' '):32} {value}" for name, value in result.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = run(given.messages)
    print(json.dumps(result) if given.json else table(result))


if __name__ == "__main__":
    main()
