"""Who is told which batch is being read, as the last thing known if the reading ends the process."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiokafka.structs import TopicPartition

# How the rule of a dead letter begins whose record, or batch, ended the process again and again.
SET_ASIDE = "set aside: "


class BatchWatch(Protocol):
    """Told from the thread that reads."""

    def entering(self, tp: "TopicPartition", first: int, last: int, at_ms: int) -> int:
        """The batch of offsets `first` to `last` is read from here; `at_ms`: its latest time. Returns how often its
        reading ended the process, if that is often enough to go on without it, else 0."""
        ...

    def left(self) -> None:
        """No batch is being read."""
        ...


class NoBatchWatch:
    """A `BatchWatch` for readers whose process no batch can end: replays, commands, changelogs."""

    def entering(self, tp: "TopicPartition", first: int, last: int, at_ms: int) -> int:
        """No batch is ever gone on without."""
        return 0

    def left(self) -> None:
        """Nothing was noted, so nothing is to be cleared."""


UNWATCHED = NoBatchWatch()
