"""Reads partitions by offset, without a consumer group and without commits.

Only committed records are read, so a partition ends at its last stable offset.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from app.kafka.batch_fetching import FetchedRecord, read_in_turns

AT_ONCE = 1000
POLL_MS = 500
# In ms. aiokafka sends one request at a time per broker, so a request for offsets waits for a pending fetch.
WAIT_MS = 10
# A compacted partition may end in a gap without records, and a poll then returns nothing, however often it is repeated.
EMPTY_POLLS = 20


class PartitionReader:
    """One consumer for several reads, one after another. Use as an async context manager."""

    def __init__(self, client: dict[str, Any]) -> None:
        self._client = client
        self._consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=WAIT_MS,
            isolation_level="read_committed",
            **client,
        )

    async def __aenter__(self) -> "PartitionReader":
        try:
            await self._consumer.start()
            read_in_turns(self._consumer, AT_ONCE)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def partitions(self, topic: str) -> Sequence[int]:
        """Partition numbers of `topic`, in ascending order."""
        await self._consumer._client.add_topic(topic)
        return sorted(self._consumer.partitions_for_topic(topic) or ())

    async def span(self, topic: str, number: int) -> tuple[int, int]:
        """First available offset and the current end offset (exclusive)."""
        where = TopicPartition(topic, number)
        starts = await self._consumer.beginning_offsets([where])
        ends = await self._consumer.end_offsets([where])
        return int(starts[where]), int(ends[where])

    async def read(self, topic: str, number: int, start: int, end: int) -> AsyncIterator[Sequence[FetchedRecord]]:
        """Slices of records from `start` to before `end`. Raises OffsetOutOfRangeError when retention overtakes it."""
        if start >= end:
            # Not assigned either: aiokafka 0.14 never stops when it is stopped right after an assignment.
            return
        where = TopicPartition(topic, number)
        self._consumer.assign([where])
        self._consumer.seek(where, start)
        empty = 0
        while await self._consumer.position(where) < end and empty < EMPTY_POLLS:
            got = await self._consumer.getmany(where, timeout_ms=POLL_MS)
            empty = 0 if got else empty + 1
            if records := [record for record in got.get(where, ()) if record.offset < end]:
                yield records
        if empty:
            await self._consumer.end_offsets([where])  # raises when it is the broker that is gone

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Committed offsets of `group` on `topic`, by partition; 0 where nothing was committed."""
        admin = AIOKafkaAdminClient(**self._client)
        try:
            await admin.start()
            offsets = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        return {place.partition: max(0, told.offset) for place, told in offsets.items() if place.topic == topic}
