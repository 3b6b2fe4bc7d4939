"""What a broker knows of topics beyond what aiokafka asks: their ids, and how long tombstones are kept."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

TOMBSTONES_KEPT = "delete.retention.ms"
_UNKNOWN_TOPIC = 3


class _Uuid(AbstractType[UUID]):  # type: ignore[misc] # aiokafka is Any here
    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes


_name = CompactString("utf-8")
_partition = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    ("tags", TaggedFields),
)
_topic = (
    ("error_code", Int16),
    ("topic", _name),
    ("topic_id", _Uuid),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_partition)),
    ("authorized_operations", Int32),
    ("tags", TaggedFields),
)
_broker = (("node_id", Int32), ("host", _name), ("port", Int32), ("rack", _name), ("tags", TaggedFields))


class _MetadataResponse(Response):  # type: ignore[misc] # aiokafka is Any here
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_broker)),
        ("cluster_id", _name),
        ("controller_id", Int32),
        ("topics", CompactArray(*_topic)),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestV10(RequestStruct):  # type: ignore[misc] # aiokafka is Any here
    """The first version that answers ids (KIP-516, Kafka 2.8)."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _name), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestV10]):  # type: ignore[misc] # aiokafka is Any here
    API_KEY = 3

    def __init__(self, topics: Iterable[str], operations: bool) -> None:
        self._topics: list[tuple[UUID, str, dict[int, bytes]]] = [(UUID(int=0), topic, {}) for topic in topics]
        self._operations = operations

    def build(self, request_struct_class: type[_MetadataRequestV10]) -> _MetadataRequestV10:
        return request_struct_class(self._topics, False, False, self._operations, {})


class TopicFacts(NamedTuple):
    """A topic as a broker describes it. `operations`: a bit field of those that we may do, if that was asked for."""

    error_code: int
    name: str
    topic_id: UUID
    operations: int


async def described(
    admin: AIOKafkaAdminClient, topics: Iterable[str], *, operations: bool = False
) -> tuple[TopicFacts, ...]:
    """These topics, those that are not there too. Raises KafkaError without a broker, NotImplementedError before
    Kafka 2.8."""
    client = admin._client
    response = await client.send(client.get_random_node(), _MetadataRequest(topics, operations))
    return tuple(TopicFacts(topic[0], topic[1], topic[2], topic[5]) for topic in response.topics)


async def topic_ids(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, str]:
    """The id that Kafka gave each topic when it was created, as hex; no two topics ever have the same (KIP-516).

    Topics that are not there are left out. Raises KafkaError without a broker, NotImplementedError before Kafka 2.8.
    """
    found = await described(admin, topics)
    return {topic.name: topic.topic_id.hex for topic in found if topic.error_code != _UNKNOWN_TOPIC}


async def tombstones_kept_ms(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, int]:
    """How long each compacted topic keeps a tombstone that compaction has seen, ms (`delete.retention.ms`).

    Topics whose configuration the broker does not tell us are left out. Raises KafkaError without a broker.
    """
    wanted = [ConfigResource(ConfigResourceType.TOPIC, topic, configs={TOMBSTONES_KEPT: ""}) for topic in topics]
    found: dict[str, int] = {}
    for answer in await admin.describe_configs(wanted) if wanted else ():
        for resource in answer.resources:
            error_code, _, _, topic, entries = resource[:5]
            kept: dict[str, Any] = {} if error_code else {entry[0]: entry[1] for entry in entries}
            if TOMBSTONES_KEPT in kept:
                found[topic] = int(kept[TOMBSTONES_KEPT])
    return found
