"""The part of the poison guard that watches the reading of batches, in the consumer's thread."""

from typing import Any

from app.streams.engine.crash_marker import Slot, Work, WorkStage
from app.streams.engine.poison_guard import PoisonGuard


class BatchGuard:
    """Notes which batch is being read, and knows those that ended the process too often. See `BatchWatch`."""

    def __init__(self, slot: Slot, guard: PoisonGuard) -> None:
        self._slot, self._guard = slot, guard

    def entering(self, tp: Any, first: int, last: int, at_ms: int) -> int:
        """The batch of these offsets is read from here. Returns its deaths if it is to be done without, else 0."""
        work = Work(tp.topic, tp.partition, first, last, at_ms)
        self._slot.enter(WorkStage.READ, work)
        return self._guard.condemned_batch(work)

    def left(self) -> None:
        """No batch is being read."""
        self._slot.leave()
