"""A stand for tests: everything up on the real broker, and looks at topics from outside."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from app.dev.stand import Plan, Stand


@contextmanager
def standing(kafka: str, path: Path, **given: Any) -> Iterator[Stand]:
    extra = {"HELIOGRAPH_RATE": "0", **given.pop("extra", {})}
    bridge, env = given.pop("bridge", False), given.pop("env", {})
    prefix = f"t{uuid.uuid4().hex[:8]}."
    plan = Plan(directory=path / "stand", kafka=kafka, prefix=prefix, bridge=bridge, extra=extra, **given)
    stand = Stand(plan, {"PATH": "/usr/bin:/bin"} | env)
    try:
        stand.start()
        yield stand
    finally:
        stand.stop()


def prefix(stand: Stand) -> str:
    return stand.env["HELIOGRAPH_TOPIC_PREFIX"]


def produce(stand: Stand, *values: bytes | dict[str, Any], topic: str = "notify.requests") -> None:
    producer = Producer({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"], "message.max.bytes": 2_000_000})
    for value in values:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        producer.produce(prefix(stand) + topic, value=raw)
    assert producer.flush(20) == 0


def read(stand: Stand, topic: str) -> list[dict[str, Any]]:
    """Every record of a topic now, parsed."""
    return [json.loads(value) for _, value in raw(stand, topic) if value]


def raw(stand: Stand, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    return [(message.key(), message.value()) for message in records(stand, topic)]


def records(stand: Stand, topic: str) -> list[Message]:
    """Every record of a topic now, with its place and headers."""
    consumer = Consumer({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"], "group.id": "site"})
    name, ends = prefix(stand) + topic, {}
    for number in range(8):
        low, high = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)
        if high > low:
            ends[number] = high
    consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in ends])
    rows, done = [], dict.fromkeys(ends, 0)
    while any(done[number] < high for number, high in ends.items()):
        for message in consumer.consume(1000, 1.0):
            assert message.error() is None
            rows.append(message)
            done[message.partition()] = message.offset() + 1
    consumer.close()
    return rows


def event(n: int, **given: Any) -> dict[str, Any]:
    base = {
        "type": "notify.requested.v1",
        "to": f"+121255501{n:02d}",
        "body": f"Build {n}.",
        "idempotency_key": f"k{n}",
    }
    return {**base, **given}
