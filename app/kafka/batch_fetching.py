"""How our consumers read: aiokafka fetches, and this takes apart what it fetched, in bounded turns.

aiokafka turns all that was fetched of a partition into records at once and inflates without a bound, and with
`max_records` it leaves out the partitions that come later. Here each turn takes so many records and bytes of each
partition, and goes on where the turn before ended.

Private names of aiokafka are used here; `tests/contracts/test_private_names.py` names every one.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from app.kafka.batch_watch import UNWATCHED, BatchWatch
from app.kafka.partition_batches import BatchPart, Form, PartitionBatches

# Bytes of a partition's records in one turn, and of all partitions' (see `Taken.size` and `Taken.work`).
PARTITION_BYTES, TURN_BYTES = 1 << 20, 8 << 20
# Inflated batches that may be held at once, over all partitions, while they are read; each partition may have one of
# FREE_BYTES besides.
HELD_BYTES = 64 << 20
# A batch with a wrong checksum is fetched so often before it is set aside: the network may have damaged it.
FETCHES = 4


class ReadPosition(NamedTuple):
    """How a partition is read. `records`: the most in one turn; `consecutive`: a gap in the offsets is a hole."""

    form: Form
    records: int
    consecutive: bool
    watch: BatchWatch = UNWATCHED


class FetchedRecord(NamedTuple):
    """A record for readers that are no agents. `unreadable`: why it is not as it was produced, or ""."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    unreadable: str = ""


def fetched_records(tp: TopicPartition, records: Collection[Any], unreadable: str) -> list[FetchedRecord]:
    """The `Form` of readers that are no agents: one `FetchedRecord` for each record."""
    topic, number = tp
    return [FetchedRecord(topic, number, r.offset, r.timestamp, r.key, r.value, r.headers, unreadable) for r in records]


class _Client:
    """aiokafka's client as its fetcher has it; keeps what a broker answered, for the batches in it."""

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
    """How often a damaged batch was fetched, by partition."""

    def __init__(self) -> None:
        self._seen: dict[TopicPartition, tuple[int, int]] = {}

    def again(self, tp: TopicPartition, offset: int) -> bool:
        """Whether the batch at this offset, which came damaged, is to be fetched once more."""
        at, times = self._seen.get(tp, (offset, 0))
        self._seen[tp] = offset, times + 1 if at == offset else 1
        return self._seen[tp][1] < FETCHES


class BatchFetching:
    """Takes over the fetcher of a started consumer, to read batches in bounded and fair turns.

    `reading_of` says how each partition is read.
    """

    def __init__(self, fetcher: Any, reading_of: Callable[[TopicPartition], ReadPosition]) -> None:
        self._fetcher, self._reading_of = fetcher, reading_of
        self._client = fetcher._client = _Client(fetcher._client)
        self._process, fetcher._proc_fetch_request = fetcher._proc_fetch_request, self._proc_fetch_request
        fetcher.fetched_records = self.taken
        self._refetches = Refetches()

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> Any:
        wakes = await self._process(assignment, node_id, request)
        # The loop did not turn since the answer came: nobody has taken a record yet.
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
        """What one turn takes of these partitions (none: of all). Waits up to `timeout` seconds until there is any."""
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
        """Nothing could be taken because other partitions hold too much that is inflated: one goes on nevertheless."""
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
        """What was fetched, the partition first that was served longest ago."""
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
            # One that could take nothing keeps its place, and is the first for what the others leave.
            self._fetcher._records.move_to_end(tp)
        return taken if taken.end > taken.first else None

    def _remove(self, tp: TopicPartition) -> None:
        """Forget what was fetched of the partition, so that more of it is fetched."""
        del self._fetcher._records[tp]
        self._fetcher._notify(self._fetcher._wait_consume_future)

    def _held_bytes(self) -> int:
        results = (r for r in self._fetcher._records.values() if isinstance(r, FetchResult) and r.has_more())
        return sum(result._partition_records.inflated_bytes for result in results)


def read_in_turns(consumer: Any, records: int = 1000) -> None:
    """Let `getmany` of a started consumer read this way: lists of `FetchedRecord`, so many of a partition at most."""
    fetching = BatchFetching(consumer._fetcher, lambda _: ReadPosition(fetched_records, records, consecutive=False))

    async def lists(*args: Any, **options: Any) -> dict[TopicPartition, list[FetchedRecord]]:
        return {tp: taken.records for tp, taken in (await fetching.taken(*args, **options)).items() if taken.records}

    consumer._fetcher.fetched_records = lists
