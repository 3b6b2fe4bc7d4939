"""Inputs put on a stand's contact log directly, as a worker or the door would write them."""

import json
from typing import Any

import msgspec
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from app.config.settings import Settings
from app.dev.dev_cluster import DevCluster
from app.domain.model.identity import contact_id, key_fingerprint, message_id
from app.domain.model.inputs import Input, RequestRejected
from app.records.caller_fields import CallerFields, encode_caller_fields
from app.records.seal import Sealer
from tests.support.cluster import prefix


def contact_of(stand: DevCluster, number: str) -> str:
    return contact_id(Settings.read(stand.env).pseudonym_key, "default", number)


def message_of(stand: DevCluster, number: str, key: str) -> str:
    return message_id(Settings.read(stand.env).pseudonym_key, "default", key, contact_of(stand, number))


def fingerprint(stand: DevCluster) -> str:
    return key_fingerprint(Settings.read(stand.env).pseudonym_key)


def rejected(stand: DevCluster, contact: str, key: str, **given: int) -> RequestRejected:
    """A message that is final at once."""
    settings = Settings.read(stand.env)
    message, sealer = message_id(settings.pseudonym_key, "default", key, contact), Sealer(settings.seal_keys)
    return RequestRejected(
        id="by-hand",
        tenant="default",
        pk=fingerprint(stand),
        at=1,
        message_id=message,
        fingerprint="f",
        sealed_to="sealed",
        sealed_caller_fields=sealer.seal(encode_caller_fields(CallerFields(key)), "default", message),
        masked="•••",
        field="body",
        rule="is empty",
        requested_ms=1,
        source="by-hand",
        **given,
    )


def write(stand: DevCluster, contact: str, *inputs: Input) -> None:
    write_raw(stand, "contacts", *((contact.encode(), msgspec.json.encode(record)) for record in inputs))


def write_raw(
    stand: DevCluster, topic: str, *records: tuple[bytes, bytes | None], partition: int | None = None
) -> None:
    servers = stand.env["KAFKA_BOOTSTRAP_SERVERS"]
    producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random", "message.max.bytes": 4_000_000})
    given = {} if partition is None else {"partition": partition}
    for key, value in records:
        producer.produce(prefix(stand) + topic, key=key, value=value, **given)
    assert producer.flush(20) == 0


def cut(stand: DevCluster, topic: str, ends: dict[int, int]) -> None:
    """Delete what lies before an offset of each partition, as retention does."""
    admin = AdminClient({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"]})
    places = [TopicPartition(prefix(stand) + topic, number, offset) for number, offset in ends.items()]
    for future in admin.delete_records(places).values():
        future.result()


def tampered(value: bytes, change: Any) -> bytes:
    """A row with something else in it, encoded as rows are."""
    row = json.loads(value)
    change(row)
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()
