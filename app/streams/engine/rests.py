"""Rests: a partition whose agent is in no hurry is not fetched for a while, so that the next fetch brings more at once.

Else each of its small slices would end a fetch that others wait in, and go the whole way through Faust alone.
"""

import asyncio
from collections.abc import Callable, Mapping, Sized
from typing import Any

# A fetch that brought so many was no small one: what else waits is fetched at once.
ENOUGH = 500


class Rests:
    """For the loop in which the consumer lives. `rest_s`: seconds by topic, 0 for whatever somebody waits for."""

    def __init__(self, rest_s: Callable[[str], float]) -> None:
        self._rest_s = rest_s

    def took(self, consumer: Any, found: Mapping[Any, Sized]) -> None:
        """Records were taken. Call before the loop turns, else a fetch that is not wanted is on its way."""
        for place, records in found.items():
            seconds = self._rest_s(place.topic)
            if seconds and len(records) < ENOUGH:
                consumer.pause(place)
                asyncio.get_running_loop().call_later(seconds, _resume, consumer, place)


def _resume(consumer: Any, place: Any) -> None:
    # Lost and won again since, it was never paused: then this changes nothing.
    if place in consumer.assignment():
        consumer.resume(place)
