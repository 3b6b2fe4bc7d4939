"""Rests: a partition whose agent is in no hurry is not fetched for a while, so that the next fetch brings more at once.

Else each of its small slices would end a fetch that others wait in, and go the whole way through Faust alone. That of a
background agent is not fetched until all that was fetched of it is done: this bounds what it holds in memory.
"""

import asyncio
from collections.abc import Callable, Mapping, Sized
from typing import Any

# A fetch that brought so many was no small one: what else waits is fetched at once.
ENOUGH = 500


class FetchThrottle:
    """For the loop in which the consumer lives. `rest_s`: seconds by topic, 0 for whatever somebody waits for;
    `background`: whether a topic's agent is one; `busy`: whether such a partition has slices that are not done."""

    def __init__(
        self, rest_s: Callable[[str], float], background: Callable[[str], bool], busy: Callable[[Any], bool]
    ) -> None:
        self._rest_s, self._background, self._busy = rest_s, background, busy

    def took(self, consumer: Any, found: Mapping[Any, Sized]) -> None:
        """Records were taken. Call before the loop turns, else a fetch that is not wanted is on its way."""
        for place, records in found.items():
            seconds = self._rest_s(place.topic)
            if seconds and (len(records) < ENOUGH or self._background(place.topic)):
                consumer.pause(place)
                self._rest(consumer, place, seconds)

    def _rest(self, consumer: Any, place: Any, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._end, consumer, place, seconds)

    def _end(self, consumer: Any, place: Any, seconds: float) -> None:
        # Lost and won again since, it was never paused: then this changes nothing.
        if place not in consumer.assignment():
            return
        if self._busy(place):
            self._rest(consumer, place, seconds)
        else:
            consumer.resume(place)
