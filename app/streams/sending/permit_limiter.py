"""Limits the permits of one tenant to as many as can still start their call in time.

A claim that cannot start its call within `claim_ttl` of its permit being logged is abandoned and asks again:
four records of waste. The limit follows measurements: how late a permit was folded (the log's backlog), how many claims
wait, how long a call takes.
"""

from collections.abc import Callable

# What a call takes before any was made, seconds, and how fast the mean follows what is seen.
FIRST_CALL_S, LEARNS = 0.2, 1 / 16
LEAST_CALL_S = 0.001


class PermitLimiter:
    """Permits of one tenant. `at_once`: the calls allowed at once now. A quarter of `claim_ttl_s` is planned with."""

    def __init__(self, claim_ttl_s: float, at_once: Callable[[], int]) -> None:
        self._planned_s, self._at_once = claim_ttl_s / 4, at_once
        self._late_s, self._call_s, self._open = 0.0, FIRST_CALL_S, 0

    def claimed(self, late_s: float) -> None:
        """A claim waits for its call; it was folded `late_s` after its turn was logged."""
        self._open += 1
        self._late_s = late_s

    def called(self, took_s: float) -> None:
        """A call was made."""
        self._call_s += (took_s - self._call_s) * LEARNS

    def ended(self) -> None:
        """A claim waits no more."""
        self._open -= 1

    def room(self) -> int:
        """Turns that may be granted and not answered yet. As many as can be called at once are always under way, so
        that it is noticed when the backlog is gone."""
        at_once = self._at_once()
        fits = (self._planned_s - self._late_s) * at_once / max(LEAST_CALL_S, self._call_s)
        return max(at_once, int(fits)) - self._open
