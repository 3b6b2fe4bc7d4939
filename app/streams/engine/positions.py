"""How far each partition was folded, of which topic: kept beside the group's commits, which Kafka may forget.

Kafka drops the commits of a group that had no member for a week (`offsets.retention.minutes`), and those of a topic
that is deleted. A worker would begin at the start of the log again, or skip what it took for folded. So the committed
offset of each partition is also a record of a compacted topic, with the ids of the topic and of its changelogs
(KIP-516).

A position may lag behind the commit by `WRITE_S`, never lead. To go on there folds a few inputs again, as after a kill:
rows know what they have. The highest watermark of the rows would not do in its place: a kill in the middle of a cycle
may have left a row on the changelog and not the row of an input before it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import structlog

from app.kafka.partition_reader import PartitionReader
from app.streams.engine.agent import Output
from app.streams.engine.producer import LeasedProducer

WRITE_S = 10.0
# In the place of a topic's id, where the broker has none (before Kafka 2.8).
NO_ID = "-"
_CONSULT = "runbook topics-replaced"

Place = tuple[str, int]
_log = structlog.get_logger("app.streams.engine")


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """`offset`: what was committed; `first`: where the log began when the partition was taken over; `topic_id` and, by
    name, `changelogs`: ids, left out where the broker has none."""

    offset: int
    first: int
    topic_id: str = ""
    changelogs: dict[str, str] = {}


class Commit(NamedTuple):
    """What the group committed of a partition. `ours`: by a worker; else an operator set it."""

    offset: int
    ours: bool


class Source(NamedTuple):
    """A partition that is taken over, as it is now. `guarded`: rows beside it know its offsets."""

    place: Place
    now: Position
    commit: Commit | None
    before: Position | None
    guarded: bool


def commit_metadata(topic_id: str, suspects: str) -> str:
    """For a commit of ours: whose topic it is, and what `PoisonGuard.metadata` says."""
    return f"{topic_id or NO_ID} {suspects}"


def read_metadata(metadata: str) -> tuple[bool, str]:
    """Whether a commit is ours, and what it says of suspects; an operator's tool leaves it empty."""
    topic_id, space, suspects = metadata.partition(" ")
    ours = bool(space) and (topic_id == NO_ID or len(topic_id) == 32)
    return ours, suspects if ours else metadata


def refusal(source: Source) -> str:
    """Why this partition must not be worked on before an operator acted; empty if it may be."""
    before, now, name = source.before, source.now, source.place[0]
    if before is None:
        return ""
    by_hand = source.commit is not None and not source.commit.ours
    replaced = _replaced(name, before.topic_id, now.topic_id)
    if not replaced and now.first < before.first and not (before.topic_id and now.topic_id):
        replaced = f"{name} began at {before.first} and begins at {now.first} now"
    others = [_replaced(log, known, now.changelogs.get(log, "")) for log, known in sorted(before.changelogs.items())]
    if replaced and source.guarded and not all([by_hand, before.changelogs, *others]):
        return f"{replaced}: the topic was re-created, and rows know the offsets of the former one ({_CONSULT})"
    if replaced and not by_hand:
        return f"{replaced}: the topic was re-created; set the group's offsets to where to begin ({_CONSULT})"
    if by_hand:
        return ""
    return next((f"{other}: the changelog was re-created ({_CONSULT})" for other in others if other), "")


def _replaced(name: str, before: str, now: str) -> str:
    return f"{name} had the id {before} and has {now}" if before and now and before != now else ""


def begin_at(source: Source) -> int:
    """The first offset to read: the commit, else the position, else the beginning of the log."""
    if source.commit is not None:
        return source.commit.offset
    if source.before is None or _replaced("", source.before.topic_id, source.now.topic_id):
        return source.now.first
    if source.before.offset != source.now.first:  # else nothing was ever committed
        where = {"topic": source.place[0], "partition": source.place[1], "offset": source.before.offset}
        _log.warning("commit.lost", **where)
    return source.before.offset


class Positions:
    """Those of the partitions that are ours. `topic`: compacted, with the partitions of the sources; "": none are
    kept."""

    def __init__(self, topic: str, producer: LeasedProducer) -> None:
        self._topic, self._producer = topic, producer
        self._ours: dict[Place, Position] = {}
        self._written: dict[Place, Position] = {}

    async def read(self, client: dict[str, Any], places: Iterable[Place]) -> dict[Place, Position]:
        """The last position of each partition that has one. Raises KafkaError without a broker."""
        wanted, found = set(places), dict[Place, Position]()
        if not self._topic:
            return {}
        async with PartitionReader(client) as logs:
            for number in sorted({number for _, number in wanted}):
                async for records in logs.read(self._topic, number, *await logs.span(self._topic, number)):
                    for record in records:
                        _take(found, (_name(record.key), number), record.value)
        return {place: position for place, position in found.items() if place in wanted}

    def take(self, sources: Iterable[Source]) -> None:
        """These partitions are ours, and no others; what differs from its record is written next."""
        self._ours = {source.place: source.now for source in sources}
        self._written = {source.place: source.before for source in sources if source.before is not None}

    async def write(self, committed: Mapping[Place, int]) -> None:
        """Put what changed on the topic. `committed`: offsets by partition, as far as known."""
        for place, offset in committed.items():
            if place in self._ours and offset > self._ours[place].offset:
                self._ours[place] = msgspec.structs.replace(self._ours[place], offset=offset)
        changed = {place: at for place, at in self._ours.items() if self._written.get(place) != at}
        if self._topic and changed:
            await self._producer.send_all(self._output(place, at) for place, at in changed.items())
            self._written |= changed

    def _output(self, place: Place, position: Position) -> Output:
        topic, number = place
        return Output(self._topic, topic.encode(), msgspec.json.encode(position), number)

    async def run(self, committed: Callable[[], Mapping[Place, int]]) -> None:
        """For ever: write every `WRITE_S`."""
        while True:
            await asyncio.sleep(WRITE_S)
            await self.write(committed())


def _name(key: bytes | None) -> str:
    return (key or b"").decode("utf-8", "replace")


def _take(found: dict[Place, Position], place: Place, value: bytes | None) -> None:
    """A record that is none of ours says nothing."""
    try:
        found[place] = msgspec.json.decode(value or b"", type=Position)
    except (msgspec.DecodeError, RecursionError):
        _log.error("position.unreadable", topic=place[0], partition=place[1])
