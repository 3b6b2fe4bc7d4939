"""What the engine raises within itself: faults of records, never of the process, and the end of a partition."""

from app.errors import HeliographError


class RecordRefusedError(HeliographError):
    """Kafka, or its client, refuses a record for what it is (its size, a header): it would be refused again.

    `last_offset`: of the records before it that were appended all the same, None if none was.
    """

    def __init__(self, why: str, last_offset: int | None = None) -> None:
        super().__init__(why)
        self.last_offset = last_offset


class CycleError(HeliographError):
    """The work of a cycle cannot be done, and its records are why. `__cause__` says what happened."""


class ClosingError(HeliographError):
    """The partition is let go in the middle of a record that is folded in steps."""
