"""Metric records, and a bridge as its own process on a real broker."""

import time
import uuid
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client.parser import text_string_to_metric_families

from app.dev.process import ChildProcess
from app.records.metrics import NotifyMetric
from app.records.topics import Topics

SHARDS = 4


def this_minute() -> int:
    """Start of the running minute, ms; the broker of a test has our clock."""
    return int(time.time()) // 60 * 60_000


def metric(name: str, value: float, *, ago: int = 0, shard: int = 0, **given: Any) -> NotifyMetric:
    """`ago`: windows before the running one."""
    labels = given.pop("labels", {"tenant": "default", "country": "US", "lane": "default"})
    start = given.pop("window_ms", this_minute() - ago * 60_000)
    return NotifyMetric(metric=name, labels=labels, window_ms=start, length_s=60, shard=shard, value=value, **given)


class Samples(dict[str, float]):
    """Samples of an exposition by name and labels: `name{a=b,c=d}`."""

    def __init__(self, text: str) -> None:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f"{name}={sample.labels[name]}" for name in sorted(sample.labels))
                self[f"{sample.name}{{{labels}}}"] = sample.value

    def ours(self) -> dict[str, float]:
        """Without what belongs to the process."""
        return {name: value for name, value in self.items() if not name.startswith(("process_", "heliograph_bridge"))}


class Site:
    """A topic of its own on a broker, and the bridge that reads it."""

    def __init__(self, servers: str, path: Path) -> None:
        self.servers, self.prefix = servers, f"b{uuid.uuid4().hex[:8]}."
        self.topics = Topics(self.prefix, self.prefix + "heliograph")
        self._admin, self._producer = AdminClient(self._client), Producer(self._client)
        self._said = 0
        declared = self.topics.all["notify.metrics"]
        for future in self._admin.create_topics([NewTopic(declared.name, SHARDS, 1, config=declared.config)]).values():
            future.result()
        env = {"PATH": "/usr/bin:/bin", "KAFKA_BOOTSTRAP_SERVERS": servers, "HELIOGRAPH_TOPIC_PREFIX": self.prefix}
        self.part = ChildProcess("bridge", ["bridge", "--port", "0"], env, path / "bridge.log")

    @property
    def _client(self) -> dict[str, str]:
        return {"bootstrap.servers": self.servers}

    def say(self, *records: NotifyMetric | bytes) -> None:
        for record in records:
            raw = record if isinstance(record, bytes) else msgspec.json.encode(record)
            shard = 0 if isinstance(record, bytes) else record.shard
            self._producer.produce(self.topics.metrics, raw, self._key(raw), shard, on_delivery=_delivered)
        assert self._producer.flush(20) == 0

    def _key(self, raw: bytes) -> bytes:
        """Of its own for every record, as nothing here looks at keys and a compacted topic wants one."""
        self._said += 1
        return b"%d" % self._said

    def start(self) -> None:
        self.part.start()
        self.part.wait()

    def scrape(self) -> Samples:
        return Samples(urlopen(self.part.ready["metrics"]).read().decode())

    def close(self) -> None:
        self.part.stop()
        self._admin.delete_topics([self.topics.metrics])


def _delivered(error: object, _message: object) -> None:
    assert error is None, error
