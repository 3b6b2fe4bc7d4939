"""Turns over what was fetched: bounded, fair to every partition, and nothing is lost between two of them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from app.kafka.batch_fetching import FETCHES, HELD_BYTES, TURN_BYTES, BatchFetching, ReadMode, fetched_records
from app.kafka.partition_batches import BatchPart
from app.kafka.record_format import HEADER_BYTES, MAX_HEADERS
from tests.support.batches import ProducedBatch, batch

PLACES = [TopicPartition("in", n) for n in range(6)]
ZSTD = 4


class Position:
    """What aiokafka keeps of an assigned partition."""

    def __init__(self) -> None:
        self.position, self.paused, self.highwater, self.lso = 0, False, 10, 7

    def consumed_to(self, position: int) -> None:
        self.position = position


class Fetcher:
    """aiokafka's fetcher over answers that are given; it puts them where the real one does."""

    def __init__(self) -> None:
        self.states = {place: Position() for place in PLACES}
        self.assignment = SimpleNamespace(active=True, state_value=self.states.get)
        self._subscriptions = SimpleNamespace(reassignment_in_progress=False, is_assigned=lambda place: True)
        self._client = self
        self._records: OrderedDict[TopicPartition, Any] = OrderedDict()
        self._wait_consume_future, self._closed, self.answer = None, False, dict[TopicPartition, bytes]()

    async def send(self, node_id: int, request: Any) -> Any:
        parts = [(p.partition, 0, 10, 7, [], data) for p, data in self.answer.items()]
        return SimpleNamespace(topics=[("in", parts)])

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        for topic, parts in (await self._client.send(node_id, request)).topics:
            for number, *_, data in parts:
                place = TopicPartition(topic, number)
                at = self.states[place].position
                records = PartitionRecords(place, MemoryRecords(data), [], at, None, None, True, 1)
                made = FetchResult(place, assignment=assignment, partition_records=records, backoff=0)
                self._records[place] = made
        return True

    def _notify(self, future: None) -> None:
        """Nobody waits."""

    async def fetch(self, **answer: bytes) -> None:
        self.answer = {PLACES[int(name[1:])]: data for name, data in answer.items()}
        await self._proc_fetch_request(self.assignment, 0, FetchRequest(1, 1, 1, 1, []))


def run(story: Callable[[Fetcher, BatchFetching], Any], records: int = 10) -> None:
    async def life() -> None:
        fetcher = Fetcher()
        await story(fetcher, BatchFetching(fetcher, lambda _: ReadMode(fetched_records, records, consecutive=True)))

    asyncio.run(life())


def plain(many: int, size: int = 10, codec: int = 0) -> bytes:
    return batch(0, [ProducedBatch(b"k", bytes(size))] * many, codec)


def spans(taken: dict[TopicPartition, BatchPart]) -> dict[int, tuple[int, int]]:
    return {place.partition: (one.first, one.end) for place, one in taken.items()}


def test_each_partition_gets_its_share_of_every_turn_and_goes_on_where_it_was() -> None:
    async def story(fetcher: Fetcher, fetching: BatchFetching) -> None:
        await fetcher.fetch(p0=plain(1000), p1=plain(15), p2=plain(3))
        assert spans(await fetching.taken(())) == {0: (0, 10), 1: (0, 10), 2: (0, 3)}
        assert spans(await fetching.taken(())) == {0: (10, 20), 1: (10, 15)}
        assert list(fetcher._records) == [PLACES[0]] and fetcher.states[PLACES[1]].position == 15

    run(story)


def test_with_room_for_few_records_the_partitions_take_turns() -> None:
    async def story(fetcher: Fetcher, fetching: BatchFetching) -> None:
        await fetcher.fetch(p0=plain(1000), p1=plain(1000), p2=plain(1000))
        seen = [spans(await fetching.taken((), 0, 15)) for _ in range(4)]
        assert seen == [
            {0: (0, 10), 1: (0, 5)}, {2: (0, 10), 0: (10, 15)}, {1: (5, 15), 2: (10, 15)}, {0: (15, 25), 1: (15, 20)}
        ]  # fmt: skip

    run(story)


def test_bytes_bound_a_turn_too() -> None:
    async def story(fetcher: Fetcher, fetching: BatchFetching) -> None:
        await fetcher.fetch(**{f"p{n}": plain(3, 900_000) for n in range(6)})
        assert spans(await fetching.taken(())) == dict.fromkeys(range(5), (0, 2))

    run(story)


def test_only_so_much_is_held_inflated_and_every_partition_comes_to_its_end() -> None:
    async def story(fetcher: Fetcher, fetching: BatchFetching) -> None:
        await fetcher.fetch(**{f"p{n}": plain(6, 4_000_000, ZSTD) for n in range(6)})
        ends, turns = dict.fromkeys(range(6), 0), 0
        while fetcher._records:
            taken = spans(await fetching.taken(()))
            assert taken and fetching._held_bytes() < HELD_BYTES + 24_000_100
            ends |= {number: end for number, (_, end) in taken.items()}
            turns += 1
        assert ends == dict.fromkeys(range(6), 6) and turns > 6

    run(story)


def test_a_small_batch_does_not_wait_for_large_ones_that_are_being_read() -> None:
    async def story(fetcher: Fetcher, fetching: BatchFetching) -> None:
        large = {f"p{n}": plain(6, 4_000_000, ZSTD) for n in range(5)}
        await fetcher.fetch(**large, p5=plain(3, 10, ZSTD))
        turns = 0
        while PLACES[5] in fetcher._records:
            await fetching.taken(())
            turns += 1
        assert turns <= 4 and fetching._held_bytes() >= HELD_BYTES

    run(story)


def test_a_large_batch_that_had_to_wait_is_the_next_when_there_is_room() -> None:
    async def story(fetcher: Fetcher, fetching: BatchFetching) -> None:
        await fetcher.fetch(**{f"p{n}": plain(6, 4_000_000, ZSTD) for n in range(3)})
        for _ in range(3):
            await fetching.taken(())
        await fetcher.fetch(p4=plain(6, 4_000_000, ZSTD), p5=plain(6, 4_000_000, ZSTD))
        while len(fetcher._records) == 5:
            assert not {4, 5} & spans(await fetching.taken(())).keys()
        assert 4 in spans(await fetching.taken(()))

    run(story)


def test_records_with_many_headers_of_some_partitions_leave_the_others_their_turns() -> None:
    async def story(fetcher: Fetcher, fetching: BatchFetching) -> None:
        heavy = batch(0, [ProducedBatch(None, b"{", [("", b"")] * MAX_HEADERS)] * 300, ZSTD)
        await fetcher.fetch(**{f"p{n}": heavy for n in range(5)}, p5=plain(3))
        met = 0
        while PLACES[5] in fetcher._records:
            taken = await fetching.taken(())
            assert (
                sum(sum(len(r.headers) for r in one.records) for one in taken.values()) * HEADER_BYTES < 2 * TURN_BYTES
            )
            met += 1
        assert met <= 6

    run(story, records=1000)


def test_a_damaged_batch_is_fetched_again_so_many_times_and_then_given_up() -> None:
    async def story(fetcher: Fetcher, fetching: BatchFetching) -> None:
        damaged = plain(3)[:-1] + b"x"
        for _ in range(FETCHES - 1):
            await fetcher.fetch(p0=damaged)
            assert await fetching.taken(()) == {} and not fetcher._records
        await fetcher.fetch(p0=damaged)
        taken = (await fetching.taken(()))[PLACES[0]]
        assert (taken.end, [bool(one.unreadable) for one in taken.records]) == (3, [True])

    run(story)


def test_what_was_sought_or_paused_meanwhile_is_dropped() -> None:
    async def story(fetcher: Fetcher, fetching: BatchFetching) -> None:
        await fetcher.fetch(p0=plain(3), p1=plain(3), p2=plain(3))
        fetcher.states[PLACES[0]].position = 2
        fetcher.states[PLACES[1]].paused = True
        assert spans(await fetching.taken((PLACES[0], PLACES[1]))) == {}
        assert list(fetcher._records) == [PLACES[2]]

    run(story)
