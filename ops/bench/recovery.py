"""Recovery: a worker that owns many open messages is started again, with its disk and without.

Warm: same data directory, so the same static member, no rebalance, and only what the disk lacks of the changelogs.
Empty: a directory of its own, everything from the changelogs; it begins once the group has let the former
member go, as when a machine is replaced. Each ends with the first fold: a report that waited on the log has become an
outcome. The raw reading is a plain aiokafka consumer over the same changelogs, in the same run.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

sys.path.insert(0, str(Path(__file__).parent))
from fold import encode, lag, load, opening, outcomes, peak_mb, sid, table, wait

from app.config.settings import Settings
from app.dev.broker import DevBroker, free_port
from app.dev.dev_cluster import ClusterPlan, DevCluster
from app.dev.process import ChildProcess
from app.domain.model.identity import key_fingerprint
from app.domain.model.inputs import DeliveryReported
from app.domain.model.vocabulary import DeliveryStatus
from app.records.seal import Sealer
from app.records.topics import CHANGELOG_TABLES

PARTITIONS = 8


def run(messages: int) -> dict:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        directory = Path(folder)
        given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        broker = None if given else DevBroker(free_port(), directory / "kafka")
        servers = given or broker.start()
        prefix = f"bench{int(time.time())}."
        plan = ClusterPlan(
            directory=directory, kafka=servers, prefix=prefix, bridge=False, extra={"HELIOGRAPH_RATE": "0"}
        )
        stand = DevCluster(plan, os.environ)
        try:
            stand.start()
            return measure(stand, Bench(stand, servers, prefix, messages))
        finally:
            stand.stop()
            if broker:
                broker.stop()


class Bench:
    """Where everything is, and the log of the messages."""

    def __init__(self, stand: DevCluster, servers: str, prefix: str, messages: int) -> None:
        self.servers, self.prefix, self.messages = servers, prefix, messages
        self.pk = key_fingerprint(bytes.fromhex(stand.env["HELIOGRAPH_PSEUDONYM_KEY"]))
        self.sealer = Sealer(Settings.read(stand.env).seal_keys)
        self.topic, self.group = f"{prefix}contacts", f"{prefix}heliograph"

    def fill(self) -> None:
        """Every message accepted by Twilio, none with a report."""
        now, step = int(time.time() * 1000), 20_000
        for start in range(0, self.messages, step):
            some = [opening(n, self.pk, now, self.sealer) for n in range(start, min(start + step, self.messages))]
            asyncio.run(load(self.servers, self.topic, PARTITIONS, [(k, v) for k, values, _ in some for v in values]))
        wait(lambda: lag(self.servers, self.group, self.topic) == 0, 600)

    def report(self, n: int) -> None:
        """Message `n` is delivered: on the log before the worker starts."""
        now = int(time.time() * 1000)
        key, _, message = opening(n, self.pk, now, self.sealer)
        given = {"id": f"recovery-{n}", "tenant": "default", "pk": self.pk, "at": now, "message_id": message}
        value = DeliveryReported(**given, attempt=1, sid=sid(n), progress=DeliveryStatus.DELIVERED, status="delivered")
        asyncio.run(load(self.servers, self.topic, PARTITIONS, [(key, encode(value))]))

    def first_fold(self, part: ChildProcess, n: int) -> float:
        """Seconds from the start of the process to the outcome of a report that waited."""
        before = outcomes(self.servers, f"{self.prefix}notify.outcomes")
        self.report(n)
        began = time.perf_counter()
        part.start()
        wait(lambda: outcomes(self.servers, f"{self.prefix}notify.outcomes") > before)
        took = time.perf_counter() - began
        part.wait()
        return took


def measure(stand: DevCluster, bench: Bench) -> dict:
    worker = stand.parts["worker-1"]
    bench.fill()
    worker.stop()
    warm = bench.first_fold(worker, 0)
    worker.stop()
    records, raw = asyncio.run(raw_read(bench.servers, bench.group))
    shutil.rmtree(stand.plan.directory / "worker-1")
    wait(lambda: asyncio.run(members(bench.servers, bench.group)) == 0)
    empty = bench.first_fold(worker, 1)
    return {
        "open_messages": bench.messages,
        "changelog_records": records,
        "warm_first_fold_s": round(warm, 2),
        "raw_read_s": round(raw, 2),
        "empty_first_fold_s": round(empty, 2),
        "empty_to_raw": round(empty / raw, 2),
        "peak_mb": peak_mb(worker.pid),
    }


async def raw_read(servers: str, group: str) -> tuple[int, float]:
    """Every record of the changelogs through a plain consumer: how many, in how many seconds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, max_partition_fetch_bytes=1 << 20)
    began = time.perf_counter()
    await consumer.start()
    places = [TopicPartition(f"{group}-{table}-changelog", n) for table in CHANGELOG_TABLES for n in range(PARTITIONS)]
    consumer.assign(places)
    await consumer.seek_to_beginning()
    ends, count = await consumer.end_offsets(places), 0
    while any([await consumer.position(place) < ends[place] for place in places]):
        count += sum(len(records) for records in (await consumer.getmany(timeout_ms=200)).values())
    await consumer.stop()
    return count, time.perf_counter() - began


async def members(servers: str, group: str) -> int:
    """Members that the group still has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([group])
        return len(answer.groups[0][5])
    finally:
        await admin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = run(given.messages)
    print(json.dumps(result) if given.json else table(result))


if __name__ == "__main__":
    main()
