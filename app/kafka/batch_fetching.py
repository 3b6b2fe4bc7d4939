"""Reads what aiokafka's fetcher fetched in bounded, fair turns.

aiokafka parses all fetched records of a partition at once, decompresses them without a limit, and with `max_records`
starves the later partitions. Here a turn takes a limited number of records and bytes from each partition, and the next
turn continues where it ended.

This module uses private names of aiokafka; `tests/contracts/test_private_names.py` lists all of them.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from app.kafka.batch_watch import UNWATCHED, BatchWatch
from app.kafka.partition_batches import BatchPart, Form, PartitionBatches

# Limits of one turn in bytes: for one partition, and for all (see `BatchPart.size` and `BatchPart.work`).
PARTITION_BYTES, TURN_BYTES = 1 << 20, 8 << 20
# Limit in bytes of decompressed batches in memory, over all partitions. Each partition may hold one batch of FREE_BYTES
# in addition.
HELD_BYTES = 64 << 20
# Number of fetches of a batch with a wrong checksum before it is set aside: the network may have damaged it.
FETCHES = 4


class ReadMode(NamedTuple):
    """How a partition is read. `records`: maximum in a turn; `consecutive`: a gap in the offsets means lost records."""

    form: Form
    records: int
    consecutive: bool
    watch: BatchWatch = UNWATCHED


class FetchedRecord(NamedTuple):
    """A record for readers other than agents. `unreadable`: why its content could not be restored, or ""."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    unreadable: str = ""


def fetched_records(tp: TopicPartition, records: Collection[Any], unreadable: str) -> list[FetchedRecord]:
    """The `Form` of readers other than agents: one `FetchedRecord` for each record."""
    topic, number = tp
    return [FetchedRecord(topic, number, r.offset, r.timestamp, r.key, r.value, r.headers, unreadable) for r in records]


class _Client:
    """Wraps the client of a fetcher and keeps each fetch response, for the raw batches in it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.fetched: dict[int, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any) -> Any:
        response = await self._client.send(node_id, request)
        if isinstance(request, FetchRequest):
            self.fetched[node_id] = response
        return response


class Refetches:
    """Counts the fetches of a damaged batch, by partition."""

    def __init__(self) -> None:
        self._seen: dict[TopicPartition, tuple[int, int]] = {}

    def again(self, tp: TopicPartition, offset: int) -> bool:
        """Count a fetch of the damaged batch at `offset`; True if it should be fetched again."""
        at, times = self._seen.get(tp, (offset, 0))
        self._seen[tp] = offset, times + 1 if at == offset else 1
        return self._seen[tp][1] < FETCHES


class BatchFetching:
    """Takes over the fetcher of a started consumer, to read batches in bounded and fair turns.

    `reading_of` says how each partition is read.
    """

    def __init__(self, fetcher: Any, reading_of: Callable[[TopicPartition], ReadMode]) -> None:
        self._fetcher, self._reading_of = fetcher, reading_of
        self._client = fetcher._client = _Client(fetcher._client)
        self._process, fetcher._proc_fetch_request = fetcher._proc_fetch_request, self._proc_fetch_request
        fetcher.fetched_records = self.taken
        self._refetches = Refetches()

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> Any:
        wakes = await self._process(assignment, node_id, request)
        # No other task ran since the response arrived, so no record of it was consumed yet.
        response = self._client.fetched.pop(node_id, None)
        if response is not None and assignment.active:
            for topic, partitions in response.topics:
                for number, _error, _highwater, *data in partitions:
                    self._adopt(TopicPartition(topic, number), data[-1], assignment)
        return wakes

    def _adopt(self, tp: TopicPartition, data: bytes, assignment: Any) -> None:
        result = self._fetcher._records.get(tp)
        if isinstance(result, FetchResult) and isinstance(result._partition_records, PartitionRecords):
            theirs, reading = result._partition_records, self._reading_of(tp)
            result._partition_records = PartitionBatches(
                tp,
                data,
                theirs._aborted_transactions,
                theirs.next_fetch_offset,
                reading.form,
                reading.consecutive,
                lambda offset: self._refetches.again(tp, offset),
                reading.watch,
            )

    async def taken(
        self,
        partitions: Collection[TopicPartition],
        timeout: float = 0,  # noqa: ASYNC109 - aiokafka's name for it
        max_records: int | None = None,
    ) -> dict[TopicPartition, BatchPart]:
        """Take one turn's records of `partitions` (empty: of all). Waits up to `timeout` seconds for the first."""
        fetcher, loop = self._fetcher, asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            if fetcher._subscriptions.reassignment_in_progress:
                await fetcher._subscriptions.wait_for_assignment()
            taken = self._turn(partitions, max_records)
            left = deadline - loop.time()
            if taken or left <= 0:
                return taken
            waiter = fetcher._create_fetch_waiter()
            done, _ = await asyncio.wait([waiter], timeout=left)
            if not done or fetcher._closed:
                waiter.cancel()
                return {}
            waiter.result()  # raises what the coordinator found

    def _turn(self, wanted: Collection[TopicPartition], most: int | None) -> dict[TopicPartition, BatchPart]:
        """Take a round; if the memory limit let no partition go on, let one exceed it, or none ever would."""
        return self._round(wanted, most, forced=False) or self._round(wanted, most, forced=True)

    def _round(
        self, wanted: Collection[TopicPartition], most: int | None, *, forced: bool
    ) -> dict[TopicPartition, BatchPart]:
        taken: dict[TopicPartition, BatchPart] = {}

        def may_inflate() -> bool:
            return self._held_bytes() < HELD_BYTES or (forced and not taken)

        for tp, result in self._results(wanted):
            if not isinstance(result, FetchResult):
                if not taken:
                    self._remove(tp)
                    result.check_raise()
                break
            left = most - sum(len(one.records) for one in taken.values()) if most else self._reading_of(tp).records
            if left <= 0 or sum(one.size + one.work for one in taken.values()) >= TURN_BYTES:
                break
            if (found := self._take(tp, result, left, may_inflate)) is not None:
                taken[tp] = found
        return taken

    def _results(self, wanted: Collection[TopicPartition]) -> Iterator[tuple[TopicPartition, Any]]:
        """Fetched results, least recently served partition first."""
        for tp, result in list(self._fetcher._records.items()):
            if not wanted or tp in wanted:
                yield tp, result
            elif not self._fetcher._subscriptions.is_assigned(tp):
                del self._fetcher._records[tp]

    def _take(self, tp: TopicPartition, result: Any, most: int, may_inflate: Callable[[], bool]) -> BatchPart | None:
        if not result.check_assignment(tp):
            self._remove(tp)
            return None
        most = min(most, self._reading_of(tp).records)
        taken: BatchPart = result._partition_records.take(most, PARTITION_BYTES, may_inflate)
        result._update_position()
        if not taken.more:
            self._remove(tp)
        elif taken.end > taken.first:
            # A partition that could take nothing stays first in line for the memory that others free.
            self._fetcher._records.move_to_end(tp)
        return taken if taken.end > taken.first else None

    def _remove(self, tp: TopicPartition) -> None:
        """Discard the fetched data of a partition, so that more is fetched."""
        del self._fetcher._records[tp]
        self._fetcher._notify(self._fetcher._wait_consume_future)

    def _held_bytes(self) -> int:
        results = (r for r in self._fetcher._records.values() if isinstance(r, FetchResult) and r.has_more())
        return sum(result._partition_records.inflated_bytes for result in results)


def read_in_turns(consumer: Any, records: int = 1000) -> None:
    """Make `getmany` of a started consumer read in turns and return lists of `FetchedRecord`.

    `records`: maximum number of one partition in a turn.
    """
    fetching = BatchFetching(consumer._fetcher, lambda _: ReadMode(fetched_records, records, consecutive=False))

    async def lists(*args: Any, **options: Any) -> dict[TopicPartition, list[FetchedRecord]]:
        return {tp: taken.records for tp, taken in (await fetching.taken(*args, **options)).items() if taken.records}

    consumer._fetcher.fetched_records = lists
