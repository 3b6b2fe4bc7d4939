"""A stand for tests: everything up on the real broker, and looks at topics from outside."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from app.dev.broker import free_port
from app.dev.dev_cluster import ClusterPlan, DevCluster
from app.dev.process_env import simulated

# Tenant `default` as a stand has it by the environment, in a tenants file that may say more.
TENANT = """
[tenants.default]
account_sid = "{TWILIO_ACCOUNT_SID}"
auth_tokens = ["{TWILIO_AUTH_TOKEN}"]
status_callback_url = "{TWILIO_STATUS_CALLBACK_URL}"
inbound_url = "{TWILIO_INBOUND_WEBHOOK_PUBLIC_URL}"
shared_requests = true
"""
LANE = """
[tenants.default.lanes.default]
messaging_service_sid = "{TWILIO_MESSAGING_SERVICE_SID}"
rate = 0
"""


@contextmanager
def standing(kafka: str, path: Path, **given: Any) -> Iterator[DevCluster]:
    extra = {"HELIOGRAPH_RATE": "0", **given.pop("extra", {})}
    bridge, env = given.pop("bridge", False), given.pop("env", {})
    prefix = f"t{uuid.uuid4().hex[:8]}."
    plan = ClusterPlan(directory=path / "stand", kafka=kafka, prefix=prefix, bridge=bridge, extra=extra, **given)
    stand = DevCluster(plan, {"PATH": "/usr/bin:/bin"} | env)
    try:
        stand.start()
        yield stand
    finally:
        stand.stop()


def by_file(
    path: Path, *, tenant: str = "", lane: str = "", extra: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """For `standing`: the tenants file, with lines of TOML more for the tenant and for its lane."""
    ports, file = {"ingress": free_port(), "simulator": free_port()}, path / "tenants.toml"
    given = simulated(*ports.values())
    file.write_text(TENANT.format(**given) + tenant + LANE.format(**given) + lane)
    return {"extra": {**extra, "HELIOGRAPH_CONFIG": str(file)}, "ports": ports}


def prefix(stand: DevCluster) -> str:
    return stand.env["HELIOGRAPH_TOPIC_PREFIX"]


def produce(
    stand: DevCluster,
    *values: bytes | dict[str, Any],
    topic: str = "notify.requests",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    producer = Producer({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"], "message.max.bytes": 2_000_000})
    for value in values:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        producer.produce(prefix(stand) + topic, value=raw, headers=dict(headers))
    assert producer.flush(20) == 0


def read(stand: DevCluster, topic: str) -> list[dict[str, Any]]:
    """Every record of a topic now, parsed."""
    return [json.loads(value) for _, value in raw(stand, topic) if value]


def raw(stand: DevCluster, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    return [(message.key(), message.value()) for message in records(stand, topic)]


def whole(stand: DevCluster, topic: str) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
    """Key, value and headers of every record of a topic now."""
    return read_topic(stand.env["KAFKA_BOOTSTRAP_SERVERS"], prefix(stand) + topic)


def read_topic(servers: str, name: str) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
    """The same of a topic by its whole name."""
    return [(m.key(), m.value(), dict(m.headers() or ())) for m in records_of(servers, name)]


def records(stand: DevCluster, topic: str) -> list[Message]:
    """Every record of a topic now, with its place and headers."""
    return records_of(stand.env["KAFKA_BOOTSTRAP_SERVERS"], prefix(stand) + topic)


def records_of(servers: str, name: str) -> list[Message]:
    """The same of a topic by its whole name."""
    consumer, ends = Consumer({"bootstrap.servers": servers, "group.id": "site"}), {}
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
