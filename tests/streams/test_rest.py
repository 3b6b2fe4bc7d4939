"""An agent at rest: the first record is folded at once, what comes meanwhile in one cycle; nobody waits for its rest."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from app.streams.engine.consumer import MAX_RESTING
from app.streams.engine.cycle import ENOUGH, Partition, Slice

LONG_S = 300.0


class Acked:
    """A producer whose every record is acknowledged."""

    async def send_all(self, outputs: Iterable[Any]) -> None:
        list(outputs)


class Resting:
    """An agent that counts records a cycle."""

    name, topic, rest_s = "resting", "t", LONG_S
    tables = ()

    def __init__(self) -> None:
        self.cycles: list[int] = []
        self._folded = 0

    def row_keys(self, record: Any) -> tuple[()]:
        return ()

    def fold(self, record: Any, scope: Any) -> None:
        self._folded += 1

    def tick(self, partition: int, scope: Any) -> None:
        self.cycles.append(self._folded)
        self._folded = 0

    def settled(self, partition: int, changed: Any) -> None:
        return

    def revoked(self, partition: int) -> None:
        return


def piece(first: int, count: int, acked: list[int]) -> Slice:
    fields = {"topic": "t", "partition": 0, "timestamp": 0, "key": b"", "value": b"", "headers": []}
    records = [SimpleNamespace(offset=first + n, **fields) for n in range(count)]
    return Slice(records, first, first + count - 1, lambda: acked.append(count))


async def lived(*, most: int, close: bool) -> tuple[list[int], list[int]]:
    """Cycles and acknowledgements of slices of 1, 2, 3 and 4 records that come one after the other."""
    agent, acked = Resting(), list[int]()
    partition = Partition(agent, 0, {}, Acked(), most, lambda: 0, frozenset())  # type: ignore[arg-type] # a fake
    first = 0
    for count in (1, 2, 3, 4):
        partition.submit(piece(first, count, acked))
        first += count
        for _ in range(10):
            await asyncio.sleep(0)
    if close:
        await asyncio.wait_for(partition.close(), 5)
    return agent.cycles, acked


def test_the_first_record_is_folded_at_once_and_the_rest_waits() -> None:
    assert asyncio.run(lived(most=1000, close=True)) == ([1], [1])


def test_enough_for_a_whole_cycle_ends_the_rest() -> None:
    assert asyncio.run(lived(most=9, close=True)) == ([1, 9], [1, 2, 3, 4])


def test_after_the_rest_all_that_came_is_one_cycle() -> None:
    async def life() -> list[int]:
        agent, acked = Resting(), list[int]()
        agent.rest_s = 0.05
        partition = Partition(agent, 0, {}, Acked(), 1000, lambda: 0, frozenset())  # type: ignore[arg-type] # a fake
        partition.submit(piece(0, 1, acked))
        while not agent.cycles:
            await asyncio.sleep(0)
        partition.submit(piece(1, 2, acked))
        partition.submit(piece(3, 3, acked))
        while len(agent.cycles) < 2:
            await asyncio.sleep(0.01)
        await partition.close()
        return agent.cycles

    assert asyncio.run(life()) == [1, 5]


def test_a_rest_ends_long_before_the_room_of_all_is_full() -> None:
    async def life() -> list[int]:
        agent, acked = Resting(), list[int]()
        partition = Partition(agent, 0, {}, Acked(), 2000, lambda: 0, frozenset())  # type: ignore[arg-type] # a fake
        partition.submit(piece(0, 1, acked))
        while not agent.cycles:
            await asyncio.sleep(0)
        partition.submit(piece(1, ENOUGH, acked))
        async with asyncio.timeout(5):
            while len(agent.cycles) < 2:
                await asyncio.sleep(0)
        await partition.close()
        return agent.cycles

    assert asyncio.run(life()) == [1, ENOUGH] and MAX_RESTING > ENOUGH
