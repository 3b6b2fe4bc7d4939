"""Evidence: the topics as they stand, the simulator's list of creates, the diary. Read here, judged in `checker`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urldefrag, urlsplit

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.chaos.diary import Entry

ROWS = ("contacts-changelog", "messages-changelog")
TOPICS = ("outcomes", "updates", "consent", "inbound", "metrics", "deadletters", "contacts", *ROWS)
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
        whole = {(r.partition, r.offset): r._replace(value=json_object(r.raw)) for r in self._last.values()}
        return [whole.get((r.partition, r.offset), r) for r in self._records]


@dataclass(frozen=True)
class Evidence:
    """`topics`: by the names of TOPICS, in order within each partition; `creates`: as /_sim/creates tells them;
    `claim_ttl_s`, `grace_s` (for reports, after a message expired), `look_after_s` (at Twilio's list, after a claim),
    `retries` of a failed text, `longest_retry_s` until one of them: settings of the product."""

    topics: dict[str, list[Record]]
    creates: list[dict[str, Any]] = field(default_factory=list)
    diary: list[Entry] = field(default_factory=list)
    claim_ttl_s: float = 5.0
    grace_s: float = 10.0
    look_after_s: Sequence[float] = (12.0, 25.0)
    retries: int = 2
    longest_retry_s: float = 4.0
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
    key, value = (record.key or b"").decode("utf-8", "replace"), json_object(record.value) if parsed else None
    return Record(record.partition, record.offset, record.timestamp, key, record.value or b"", value)


def json_object(raw: bytes | None) -> dict[str, Any] | None:
    """The value of a record; None for what is no JSON object."""
    try:
        value = orjson.loads(raw or b"null")
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
