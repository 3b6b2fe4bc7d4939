"""Evidence: the topics as they stand, the simulator's list of creates, the diary. Read here, judged in `checker`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urldefrag, urlsplit

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.records.caller_fields import open_caller_fields
from app.records.seal import Sealer, Unsealable
from ops.chaos.diary import Entry

ROWS = ("contacts-changelog", "messages-changelog")
TOPICS = ("outcomes", "updates", "consent", "inbound", "deadletters", "contacts", *ROWS)
Attempt = tuple[str, int]  # message id, number


class Record(NamedTuple):
    """One record. `at_ms`: log time; `value`: None for a tombstone and for what is no JSON object."""

    partition: int
    offset: int
    at_ms: int
    key: str
    raw: bytes
    value: dict[str, Any] | None

    @property
    def kind(self) -> str:
        """Its `type`."""
        return str((self.value or {}).get("type", ""))

    @property
    def attempt(self) -> Attempt:
        """The attempt it names."""
        value = self.value or {}
        return str(value.get("message_id", "")), int(value.get("attempt", 0))


class _Watermark(msgspec.Struct):
    watermark: int = -1


_watermark = msgspec.json.Decoder(_Watermark).decode


class RowHistory:
    """Records of a changelog. A row may have 2 MB and is written hundreds of times, so of all records but the last of a
    key only the watermark is kept."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._last: dict[str, Record] = {}

    def add(self, record: Record) -> None:
        """The next record; its value need not be parsed."""
        value = {"watermark": _watermark(record.raw).watermark} if record.raw else None
        self._records.append(record._replace(raw=b"", value=value))
        self._last[record.key] = record

    def records(self) -> list[Record]:
        """In the order they were added."""
        whole = {(r.partition, r.offset): r._replace(value=_object(r.raw)) for r in self._last.values()}
        return [whole.get((r.partition, r.offset), r) for r in self._records]


@dataclass(frozen=True)
class Evidence:
    """`topics`: by the names of TOPICS, in order within each partition; `creates`: as /_sim/creates tells them."""

    topics: dict[str, list[Record]]
    creates: list[dict[str, Any]] = field(default_factory=list)
    diary: list[Entry] = field(default_factory=list)
    claim_ttl_s: float = 5.0
    prefix: str = "chaos."

    def told(self, did: str) -> Iterator[Entry]:
        """Lines of the diary."""
        return (entry for entry in self.diary if entry["did"] == did)

    def inputs(self, *kinds: str) -> Iterator[Record]:
        """Records of topic contacts, by `type`."""
        return (record for record in self.topics.get("contacts", ()) if record.kind in kinds)


def attempt_of(create: dict[str, Any]) -> Attempt:
    """Message id and attempt number in a create's StatusCallback."""
    query = parse_qs(urlsplit(urldefrag(str(create["status_callback"]))[0]).query)
    return query.get("m", [""])[0], int(query.get("a", ["0"])[0])


def topic_name(short: str, prefix: str, group: str) -> str:
    """The real name."""
    if short.endswith("-changelog"):
        return f"{group}-{short}"
    return prefix + (short if short == "contacts" else f"notify.{short}")


def idempotency_key(value: dict[str, Any], sealer: Sealer) -> str:
    """The idempotency key of the request that a record of topic contacts is; "" of any other record."""
    sealed, tenant, message = (str(value.get(name, "")) for name in ("sealed_caller_fields", "tenant", "message_id"))
    try:
        return open_caller_fields(sealer, sealed, tenant, message).idempotency_key
    except Unsealable:
        return ""


def with_keys(contacts: list[Record], sealer: Sealer) -> list[Record]:
    """Records of topic contacts, requests among them with their `idempotency_key`, as the rules want it."""
    opened = [(record, idempotency_key(record.value or {}, sealer)) for record in contacts]
    return [r._replace(value={**(r.value or {}), "idempotency_key": key}) if key else r for r, key in opened]


async def read_topic(name: str, servers: str) -> list[Record]:
    """Every record of a topic as it stands now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        await consumer._client.add_topic(name)
        places = [TopicPartition(name, n) for n in sorted(consumer.partitions_for_topic(name) or ())]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        seen, rows = list[Record](), RowHistory()
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                if name.endswith(ROWS):
                    for record in records:
                        rows.add(_record(record, parsed=False))
                else:
                    seen += [_record(record) for record in records]
        return sorted([*seen, *rows.records()], key=lambda record: record[:2])
    finally:
        await consumer.stop()


def _record(record: Any, *, parsed: bool = True) -> Record:
    key, value = (record.key or b"").decode("utf-8", "replace"), _object(record.value) if parsed else None
    return Record(record.partition, record.offset, record.timestamp, key, record.value or b"", value)


def _object(raw: bytes | None) -> dict[str, Any] | None:
    try:
        value = orjson.loads(raw or b"null")
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
