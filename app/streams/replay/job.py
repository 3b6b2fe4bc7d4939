"""A replay over Kafka: the partitions of the contact log one after another, each with its live rows where needed.

The order of reading makes the proof hold beside running workers: first what they committed, then the rows of the
changelogs, then the log up to its end, which so holds every input that any of those rows follows from.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from app.kafka.partition_reader import PartitionReader
from app.records.topics import Topics
from app.streams.agents.contact_fold import CONTACTS, MESSAGES
from app.streams.engine.agent import Input
from app.streams.replay.replay import ContactBases, NoObserver, Replay, contact_fold, skipped_by
from app.streams.replay.row_store import RowStore
from app.streams.replay.verification import DifferentRow, RowVerification, based_offset

Rows = dict[str, RowStore]
Tell = Callable[[str, int, int], None]


class ReplaySelection(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay. `contact`: one id, or all; `until_ms`: log time; `prove`: compare with the live rows."""

    topics: Topics
    group: str
    fingerprint: str
    contact: bytes | None = None
    until_ms: int | None = None
    prove: bool = False


class PartitionReplay(msgspec.Struct, kw_only=True):
    """One partition. `rows` are open until the next partition is asked for. `cut`: the log's older part is deleted;
    `begins_ms`: log time of its first record that is left; `not_provable`: rows whose part of the log is gone."""

    partition: int
    inputs: int
    rows: Rows
    cut: bool = False
    begins_ms: int | None = None
    compared: dict[str, int] = {}
    not_provable: dict[str, int] = {}
    different: int = 0
    told: list[DifferentRow] = []


class ReplayJob:
    """`tell` hears how far it is: topic and partition, records read, records to read."""

    def __init__(self, logs: PartitionReader, wanted: ReplaySelection, tell: Tell) -> None:
        self._logs, self._wanted, self._tell = logs, wanted, tell
        topics = wanted.topics
        self._changelogs = {t: topics.all[f"<app>-{t}-changelog"].name for t in (CONTACTS, MESSAGES)}

    async def run(self, partitions: list[int]) -> AsyncIterator[PartitionReplay]:
        """Replay one partition after the other."""
        for number in partitions:
            async with _shelves() as (rows, live):
                yield await self._partition(number, rows, live)

    async def _partition(self, number: int, rows: Rows, live: Rows) -> PartitionReplay:
        wanted, topic = self._wanted, self._wanted.topics.contacts
        committed = (await self._logs.committed(wanted.group, topic)).get(number, 0)
        start, _ = await self._logs.span(topic, number)
        if wanted.prove or start:
            for table, changelog in self._changelogs.items():
                await self._load(changelog, number, live[table])
        start, end = await self._logs.span(topic, number)
        fold = contact_fold(wanted.topics, wanted.fingerprint)
        bases, skipped = await self._look_ahead(number, start, end, live)
        proof = RowVerification(fold, live, rows, committed, start)
        watch = proof if wanted.prove else NoObserver()
        bases_known = bases if start else None
        replay = Replay(fold, rows, watch, bases_known, live[MESSAGES], wanted.until_ms, skipped)
        begins_ms = await self._fold(number, start, end, replay)
        done = PartitionReplay(partition=number, inputs=replay.inputs, rows=rows, cut=start > 0, begins_ms=begins_ms)
        if wanted.prove:
            proof.finish()
            done.compared, done.not_provable = proof.compared, proof.not_provable
            done.different, done.told = proof.different, proof.told
        return done

    async def _load(self, changelog: str, number: int, shelf: RowStore) -> None:
        """The last value of each key."""
        async for records in self._read(changelog, number, *await self._logs.span(changelog, number)):
            for record in records:
                if self._mine(record.key):
                    shelf.put(record.key, record.value)

    async def _read(self, topic: str, number: int, start: int, end: int) -> AsyncIterator[Sequence[Any]]:
        async for records in self._logs.read(topic, number, start, end):
            yield records
            self._tell(f"{topic}-{number}", records[-1].offset + 1 - start, end - start)

    def _mine(self, key: bytes | None) -> bool:
        contact = self._wanted.contact
        return key is not None and (contact is None or key.partition(b"-")[0] == contact)

    async def _look_ahead(self, number: int, start: int, end: int, live: Rows) -> tuple[dict[bytes, int], set[int]]:
        """Where to begin with each contact, and which inputs the log says were set aside, after they stood there."""
        bases, skipped = ContactBases(start), set[int]()
        async for records in self._read(self._wanted.topics.contacts, number, start, end):
            for record in map(input_of, records):
                bases.look(record)
                if (offset := skipped_by(record)) is not None:
                    skipped.add(offset)
        for contact, row in live[CONTACTS].items():
            bases.name(contact, based_offset(row))
        return bases.offsets, skipped

    async def _fold(self, number: int, start: int, end: int, replay: Replay) -> int | None:
        """Log time of the first record."""
        first_ms, contact = None, self._wanted.contact
        async for records in self._read(self._wanted.topics.contacts, number, start, end):
            first_ms = records[0].timestamp if first_ms is None else first_ms
            if not replay.take(input_of(r) for r in records if contact is None or r.key == contact):
                break
        return first_ms


@asynccontextmanager
async def _shelves() -> AsyncIterator[tuple[Rows, Rows]]:
    """Rows as replayed and live rows, in a directory that goes with them."""
    directory = Path(tempfile.mkdtemp(prefix="heliograph-replay-"))
    both = [{t: RowStore(directory / f"{side}-{t}") for t in (CONTACTS, MESSAGES)} for side in ("replayed", "live")]
    try:
        yield both[0], both[1]
    finally:
        for rows in both:
            for shelf in rows.values():
                shelf.close()
        shutil.rmtree(directory)


def input_of(record: Any) -> Input:
    """A record as aiokafka has it."""
    return Input(
        record.topic, record.partition, record.offset, record.timestamp, record.key, record.value, record.headers
    )
