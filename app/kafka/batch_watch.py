"""Interface that records which batch is being read, so that a batch that crashes the process can be identified."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiokafka.structs import TopicPartition

# Prefix of a dead letter's rule if its record or batch crashed the process repeatedly.
SET_ASIDE = "set aside: "


class BatchWatch(Protocol):
    """Called from the thread that reads batches."""

    def entering(self, tp: "TopicPartition", first: int, last: int, at_ms: int) -> int:
        """Note that reading the batch of offsets `first` to `last` begins; `at_ms`: its latest timestamp.

        Returns the number of crashes while it was read, if that is enough to skip the batch, else 0.
        """
        ...

    def left(self) -> None:
        """Note that reading the batch has ended."""
        ...


class NoBatchWatch:
    """A `BatchWatch` that records nothing, for replays, commands and changelogs."""

    def entering(self, tp: "TopicPartition", first: int, last: int, at_ms: int) -> int:
        """Return 0: no batch is skipped."""
        return 0

    def left(self) -> None:
        """Do nothing, because nothing was noted."""


UNWATCHED = NoBatchWatch()
