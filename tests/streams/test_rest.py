"""An agent at rest: its partition is not fetched for a while after a small fetch; nobody else's is left out."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from app.streams.engine.fetch_throttle import ENOUGH, FetchThrottle


class Place(NamedTuple):
    topic: str
    partition: int


SLOW, QUICK = Place("slow", 0), Place("quick", 0)


class Assigned:
    """What aiokafka's consumer does of it: pauses and resumes what is assigned, and refuses anything else."""

    def __init__(self, *places: Place) -> None:
        self.places, self.paused, self.turns = set(places), set[Place](), asyncio.Event()

    def assignment(self) -> set[Place]:
        return self.places

    def pause(self, *places: Place) -> None:
        assert self.places.issuperset(places)
        self.paused.update(places)

    def resume(self, *places: Place) -> None:
        assert self.places.issuperset(places)
        self.paused.difference_update(places)
        self.turns.set()


def rests(seconds: float, busy: Callable[[], bool] = lambda: False, *, background: bool = False) -> FetchThrottle:
    return FetchThrottle(
        lambda topic: seconds if topic == "slow" else 0.0, lambda topic: background, lambda place: busy()
    )


def test_a_small_fetch_is_followed_by_a_rest_and_then_by_the_next_fetch() -> None:
    async def life() -> set[Place]:
        consumer = Assigned(SLOW, QUICK)
        rests(0.01).took(consumer, {SLOW: [1], QUICK: [1]})
        before = set(consumer.paused)
        await asyncio.wait_for(consumer.turns.wait(), 5)
        assert not consumer.paused
        return before

    assert asyncio.run(life()) == {SLOW}


def test_where_much_waits_nothing_rests() -> None:
    async def life() -> set[Place]:
        consumer = Assigned(SLOW)
        rests(300).took(consumer, {SLOW: [1] * ENOUGH})
        return consumer.paused

    assert asyncio.run(life()) == set()


def test_a_partition_that_went_to_another_worker_meanwhile_is_left_alone() -> None:
    async def life() -> bool:
        consumer, passed = Assigned(SLOW), asyncio.Event()
        rests(0.01).took(consumer, {SLOW: [1]})
        consumer.places.clear()
        asyncio.get_running_loop().call_later(0.02, passed.set)
        await passed.wait()
        return consumer.turns.is_set()

    assert not asyncio.run(life())


def test_in_the_background_nothing_is_fetched_while_what_was_fetched_is_not_done() -> None:
    async def life() -> list[bool]:
        consumer, looks = Assigned(SLOW), list[bool]()

        def busy() -> bool:
            looks.append(SLOW in consumer.paused)
            return len(looks) < 3

        rests(0.01, busy, background=True).took(consumer, {SLOW: [1] * ENOUGH})
        await asyncio.wait_for(consumer.turns.wait(), 5)
        return looks

    assert asyncio.run(life()) == [True] * 3
