"""When a contact's base - its last checkpoint, or its first input - is so old that a new checkpoint is due.

Every contact there ever was is in here, so it is kept small: one queue in the order of the bases, which is the order in
which they grow old. Like all timers it writes no row: a due entry becomes an input, which is void unless the row still
has that base, and is sent again after `RESEND_S` until the row has another, once the record before was folded.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from sys import intern
from typing import NamedTuple

from app.domain.model.contact import Contact
from app.streams.timers.timers import ALL_READ, RESEND_S, Now

# Per look of the worker (20 a second): after a long rest many are due at once, and other inputs must not wait for them.
AT_ONCE = 100


class CheckpointBase(NamedTuple):
    """Where a contact's row can be folded from. `grown_ms`: its log time (of the last input, for a row without one)."""

    grown_ms: int
    offset: int
    tenant: str


def base_of(contact: Contact) -> CheckpointBase:
    """The base that a row names."""
    return CheckpointBase(contact.based_ms or contact.touched_ms, contact.based_offset, intern(contact.tenant))


class PartitionCheckpoints:
    """The bases of one partition. `after_ms`: how old one may get."""

    def __init__(self, after_ms: int, bases: Iterable[tuple[CheckpointBase, str]] = ()) -> None:
        self._after_ms = after_ms
        self._waiting = OrderedDict((contact_id, base) for base, contact_id in sorted(bases))
        self._sent: OrderedDict[str, tuple[float, CheckpointBase]] = OrderedDict()
        self._offsets: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def learn(self, bases: Iterable[tuple[CheckpointBase, str]]) -> None:
        """Bases older than any armed so far, in whatever order."""
        older = ((contact_id, base) for base, contact_id in sorted(bases))
        self._waiting = OrderedDict((*older, *self._waiting.items()))

    def arm(self, contact_id: str, contact: Contact, now_ms: int = 0) -> None:
        """The contact has a new base: the youngest of all.

        Its age counts from `now_ms`, our wall time, if the broker's clock is behind that: else a new base could be due
        as soon as it is there, and checkpoints would follow each other without end.
        """
        self._sent.pop(contact_id, None)
        self._offsets.pop(contact_id, None)
        self._waiting.pop(contact_id, None)
        base = base_of(contact)
        self._waiting[contact_id] = base._replace(grown_ms=max(base.grown_ms, now_ms))

    def due(self, now: Now, folded_to: int = ALL_READ) -> Iterator[tuple[str, CheckpointBase, int]]:
        """Contact, base and due time (ms) of what came due, `AT_ONCE` at most; each again `RESEND_S` later, unless its
        record was not folded yet. `folded_to`: first offset of the log that is not folded."""
        for _ in range(AT_ONCE):
            if (found := self._next(*now)) is None:
                return
            contact_id, base = found
            self._sent[contact_id] = (now[1] + RESEND_S, base)
            if self._offsets.get(contact_id, -1) < folded_to:
                yield contact_id, base, base.grown_ms + self._after_ms

    def sent(self, contact_id: str, offset: int) -> None:
        """The record of this contact is on the log, at `offset` or before it. Nothing if it has a new base by now."""
        if contact_id in self._sent:
            self._offsets[contact_id] = offset

    def _next(self, wall_ms: int, boot_s: float) -> tuple[str, CheckpointBase] | None:
        """Taken out: the first of what was sent and had no effect, else of what waits."""
        sent = next(iter(self._sent.items()), None)
        if sent is not None and sent[1][0] <= boot_s:
            del self._sent[sent[0]]
            return sent[0], sent[1][1]
        waiting = next(iter(self._waiting.items()), None)
        if waiting is not None and waiting[1].grown_ms + self._after_ms <= wall_ms:
            del self._waiting[waiting[0]]
            return waiting
        return None
