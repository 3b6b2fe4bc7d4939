"""Whether a store may be brought up to date from where it stopped, or must be restored in full.

A store that did not follow its changelog for longer than Kafka keeps tombstones may miss some that were compacted away:
rows that were deleted would come back. So each store bears the broker's time up to which it followed. The broker's
clock decides, which also decides when tombstones go: a worker whose own clock is wrong, or was set, is not misled.
Kafka has no request that asks for its time, but the answer to an append bears it. A store that is behind has the leader
of its changelog append a tombstone of a key that no row has, and compares.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion

from app.kafka.topic_facts import tombstones_kept_ms, topic_ids
from app.streams.engine.process_exit import CONFIG, die
from app.streams.engine.producer import LeasedProducer
from app.streams.engine.store import ChangelogProgress, followed_of, offset_of, wipe

# Of the time that tombstones are kept: what a restore may take, and brokers' clocks may differ.
MARGIN = 0.1
# Of no row: only its time of appending counts.
ASKED = b"\0time"

Place = tuple[str, int]
_log = structlog.get_logger("app.streams.engine")


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What Kafka says of topics: ids by name, and how long tombstones are kept, ms. What it does not say is missing."""

    ids: Mapping[str, str] = field(default_factory=dict)
    kept_ms: Mapping[str, int] = field(default_factory=dict)


async def facts_of(client: dict[str, Any], topics: Iterable[str], compacted: Iterable[str]) -> StoreFacts:
    """Ask Kafka. `client`: arguments of an aiokafka client. Raises KafkaError without a broker."""
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        try:
            ids = await topic_ids(admin, [*topics, *compacted])
        except (NotImplementedError, IncompatibleBrokerVersion):
            ids = {}
        return StoreFacts(ids, await tombstones_kept_ms(admin, compacted))
    finally:
        await admin.close()


def why_in_full(followed: ChangelogProgress | None, now_ms: int, kept_ms: int | None) -> str:
    """Why a store that is behind must be restored in full; empty if reading on is enough.

    Args:
        followed: what the store says of itself, None if it says nothing.
        now_ms: the broker's time.
        kept_ms: how long tombstones are kept, None if Kafka does not say.
    """
    if followed is None:
        return "it says not up to when it followed"
    if kept_ms is None:
        return "kafka does not say how long tombstones are kept"
    age_ms = now_ms - followed.at_ms
    return f"it followed until {age_ms // 1000} s ago" if age_ms >= kept_ms * (1 - MARGIN) else ""


def followed_ms(offset: int, at_ms: int, end: int | None, began_ms: int) -> int:
    """Up to when a store has followed its changelog, by the broker's clock, after a record was restored.

    Only with the last record has it all that was there when the reading began. Before that, a tombstone behind the
    record may be hardly younger than the record itself: what a later start may miss counts from there.

    Args:
        offset, at_ms: of the record, its log time in ms.
        end: offset of the last record to restore, None if it is not known.
        began_ms: when the reading began, 0 if it is not known.
    """
    return max(at_ms, began_ms) if end is not None and offset >= end else at_ms


class Freshness:
    """`read_ms`: by changelog partition, the broker's time when the reading of what the store lacks
    began: what is read from there on is as the log was then, or later."""

    def __init__(self, producer: LeasedProducer) -> None:
        self._producer = producer
        self.read_ms: dict[Place, int] = {}

    async def look(self, stores: Mapping[Place, Any], ends: Mapping[Place, int], facts: StoreFacts) -> list[Place]:
        """Look at the stores of changelog partitions (opened, by place) before anything is read into them. Returns
        those that were wiped. Ends the process if a store is of another changelog of the same name."""
        self.read_ms = {}
        for place, db in stores.items():
            refuse_foreign_store(place, followed_of(db), facts.ids.get(place[0], ""))
        behind = [place for place, db in stores.items() if ends[place] > offset_of(db) + 1]
        times = await asyncio.gather(*(self._ask(*place) for place in behind))
        self.read_ms = dict(zip(behind, times, strict=True))
        wiped = []
        for place in behind:
            if offset_of(db := stores[place]) < 0:
                continue
            if why := why_in_full(followed_of(db), self.read_ms[place], facts.kept_ms.get(place[0])):
                _log.info("store.restored_in_full", changelog=place[0], partition=place[1], why=why)
                wipe(db)
                wiped.append(place)
        return wiped

    async def _ask(self, changelog: str, partition: int) -> int:
        return (await self._producer.changelog(changelog, partition, [(ASKED, None)])).at_ms


def refuse_foreign_store(place: Place, followed: ChangelogProgress | None, log_id: str) -> None:
    """Ends the process if the store followed another changelog of that name, which is gone."""
    if followed is not None and followed.log_id and log_id and followed.log_id != log_id:
        where = f"{place[0]}-{place[1]}"
        die(f"the rows of {where} are of a former one: the changelog was re-created (runbook worker-exits-78)", CONFIG)
