"""Named points of the way at which a harness has the process killed or paused; in production `reach` does nothing.

HELIOGRAPH_DIE_AT=after_rows:3 kills this process the third time it reaches `after_rows`; after_rows:3:STOP pauses it.
It is read once, at import: without it a point costs an empty call.
"""

import asyncio
import os
import signal
from collections.abc import Callable

import structlog

# Reached when the call may leave: the request needs this long to be on its way.
LATER_S = {"during_call": 0.01}
POINTS = frozenset(
    {
        "after_outputs",
        "before_changelog",
        "after_rows",
        "after_claim",
        "during_call",
        "after_answer",
        "after_journal",
        "during_recovery",
    }
)


class Failpoint:
    """Counts how often its point is reached. `text`: point:count[:signal]. Raises ValueError."""

    def __init__(self, text: str) -> None:
        self._point, count, *name = text.split(":")
        if self._point not in POINTS or len(name) > 1:
            raise ValueError(f"HELIOGRAPH_DIE_AT: must be point:count[:signal], points are {', '.join(sorted(POINTS))}")
        self._left, self._signal = int(count), signal.Signals["SIG" + (name[0] if name else "KILL")]
        structlog.get_logger("app.streams.engine").warning("point.armed", point=self._point, count=self._left)

    def reach(self, point: str) -> None:
        """The process is at `point`."""
        if point != self._point:
            return
        self._left -= 1
        if self._left:
            return
        if point in LATER_S:
            asyncio.get_running_loop().call_later(LATER_S[point], self._strike)
        else:
            self._strike()

    def _strike(self) -> None:
        os.kill(os.getpid(), self._signal)


def _pass(point: str) -> None:
    """Does nothing: no failpoint is armed."""


_armed = os.environ.get("HELIOGRAPH_DIE_AT", "")
reach: Callable[[str], None] = Failpoint(_armed).reach if _armed else _pass
