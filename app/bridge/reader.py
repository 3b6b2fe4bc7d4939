"""Reads all of `notify.metrics` into the counters; one bridge serves them all.

Counting starts at a minute (`since_ms`), kept with the committed offsets. A restart reads again from there before it is
ready, so that the counters stand where they stood: Prometheus sees no reset and nothing is counted twice. When that
minute lies a day back, or its records are gone, counting starts anew with the minute after the last one read, from
zero, which Prometheus knows as a restart. On a first start that is the minute that runs: what was before is history.
"""

import asyncio
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from app import clock, telemetry
from app.bridge.counters import Counters
from app.domain.metrics.windows import KEPT_MS, WINDOW_MS
from app.kafka.batch_fetching import read_in_turns
from app.records.codec import InvalidFieldError, decode
from app.records.metrics import decoder

log = telemetry.logger(__name__)

AGAIN_MS = 24 * 3_600_000
AT_ONCE = 5000
COMMIT_S, LOOK_S, PATIENCE_S = 5.0, 0.5, 30.0
STALLED_S = 30.0


class Note(msgspec.Struct, frozen=True):
    """Kept as the metadata of a commit. `first`: where the records from `since_ms` on begin; `newest_ms`: last window
    read."""

    since_ms: int
    first: int
    newest_ms: int


class MetricsReader:
    """Start, then `run` until cancelled. `ready` once the counters stand where they stood."""

    def __init__(self, topic: str, group: str, counters: Counters, client: dict[str, Any]) -> None:
        self._topic, self._group, self._client = topic, group, client
        self._counters, self._read_s, self._committed_s = counters, 0.0, 0.0
        self._first: dict[Any, int] = {}
        self._ends: dict[Any, int] = {}
        self._again = False
        self.ready = asyncio.Event()
        self._consumer = AIOKafkaConsumer(
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            **client,
        )

    def alive(self) -> str:
        """What is wrong, or ""."""
        return "no progress" if self._read_s and clock.boot_s() - self._read_s > STALLED_S else ""

    def waiting(self) -> str:
        """Why the counters must not be seen yet, or ""."""
        return "" if self.ready.is_set() else "reading what was counted before"

    async def start(self) -> None:
        """Take every partition, from where counting starts. Raises KafkaError without a broker."""
        await self._consumer.start()
        read_in_turns(self._consumer, AT_ONCE)
        places, notes, offsets = await self._asked()
        begins, self._ends = await self._consumer.beginning_offsets(places), await self._consumer.end_offsets(places)
        again = all(p in notes and begins[p] <= notes[p].first <= offsets[p] <= self._ends[p] for p in places)
        since = {note.since_ms for note in notes.values()}
        if again and len(since) == 1 and clock.now_ms() - max(since) < AGAIN_MS:
            self._counters.since_ms, self._first = since.pop(), {p: notes[p].first for p in places}
            self._again = True
        else:
            await self._anew(places, max((note.newest_ms for note in notes.values()), default=0))
        self._consumer.assign(places)
        for place, first in self._first.items():
            self._consumer.seek(place, first)
        log.info("bridge.counts", since_ms=self._counters.since_ms, records=self._behind(self._first))

    async def _asked(self) -> tuple[list[Any], dict[Any, Note], dict[Any, int]]:
        """The partitions, and what an earlier life noted and committed of them; waits until the topic is there."""
        admin = AIOKafkaAdminClient(**self._client)
        await admin.start()
        try:
            while self._topic not in await admin.list_topics():
                await asyncio.sleep(LOOK_S)
            (found,) = await admin.describe_topics([self._topic])
            places = [TopicPartition(self._topic, part["partition"]) for part in found["partitions"]]
            committed = await self._kept(admin, places)
        finally:
            await admin.close()
        notes = {p: note for p, kept in committed.items() if (note := _note(kept.metadata)) is not None}
        return places, notes, {p: kept.offset for p, kept in committed.items()}

    async def _kept(self, admin: Any, places: list[Any]) -> dict[Any, Any]:
        """A broker that has just started needs a moment until it knows of groups."""
        until = clock.boot_s() + PATIENCE_S
        while True:
            try:
                return dict(await admin.list_consumer_group_offsets(self._group, partitions=places))
            except KafkaError as error:
                if not error.retriable or clock.boot_s() > until:
                    raise
            await asyncio.sleep(LOOK_S)

    async def _anew(self, places: list[Any], newest_ms: int) -> None:
        now = clock.now_ms()
        self._counters.since_ms = newest_ms + WINDOW_MS if newest_ms else now - now % WINDOW_MS
        # A record about a window is written after the window began, by the same broker's clock.
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, self._counters.since_ms))
        self._first = {p: self._ends[p] if found.get(p) is None else found[p].offset for p in places}

    async def run(self) -> None:
        """Fold every batch of records into the counters, then commit its offsets."""
        while True:
            batches = await self._consumer.getmany(timeout_ms=1000)
            for records in batches.values():
                for record in records:
                    self._fold(record)
            self._read_s = clock.boot_s()
            positions = {place: await self._consumer.position(place) for place in self._first}
            self._counters.lag = self._behind(positions)
            if self.ready.is_set():
                await self._commit(positions)
            elif all(positions[place] >= end for place, end in self._ends.items()):
                # What is seen from here must be found again after a restart.
                await self._commit(positions)
                if self._again:
                    self._counters.shown_before()
                self.ready.set()

    def _behind(self, positions: dict[Any, int]) -> int:
        ends = {p: self._consumer.highwater(p) or self._ends[p] for p in positions}
        return sum(max(0, ends[p] - position) for p, position in positions.items())

    async def _commit(self, positions: dict[Any, int]) -> None:
        if clock.boot_s() - self._committed_s < COMMIT_S:
            return
        self._committed_s, since, newest = clock.boot_s(), self._counters.since_ms, self._counters.newest_ms
        noted = {p: msgspec.json.encode(Note(since, self._first[p], newest)).decode() for p in positions}
        await self._consumer.commit({p: OffsetAndMetadata(at, noted[p]) for p, at in positions.items()})

    def _fold(self, record: Any) -> None:
        if record.value is None:
            return
        try:
            metric = decode(decoder, record.value)
            if metric.shard != record.partition or metric.window_ms > record.timestamp + KEPT_MS:
                raise InvalidFieldError("window_ms", "is not of this partition and time")
            self._counters.fold(metric)
        except InvalidFieldError as bad:
            self._counters.unknown += 1
            log.warning("metric.unreadable", field=bad.field, rule=bad.rule, offset=record.offset)

    async def stop(self) -> None:
        """Let go of the topic."""
        await self._consumer.stop()


def _note(metadata: str) -> Note | None:
    try:
        return msgspec.json.decode(metadata, type=Note)
    except msgspec.DecodeError:
        return None  # another program's commit, or none: counting starts anew
