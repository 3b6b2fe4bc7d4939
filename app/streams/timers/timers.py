"""Timers: when something of a message comes due, a record on its contact's log says so. Timers never write rows.

The heap is built from the rows at assignment and kept in step by each durable change. A due entry becomes an input
(`contact.due.v1`), which is void unless the row still says the same; it stays armed until the row drops it. It is sent
again after `RESEND_S`, and ever more seldom once a record of it was folded. It is never sent while the record sent
before waits to be folded: a partition that is behind has one record of each due timer in its backlog. Doubt is armed as
a duration from when this owner folded or inherited the claim: the log's clock and ours may differ, and an inherited
claim deserves its whole time. A recall is due as soon as its row says so. All else comes due by our clock, so it is as
early or late as that differs from the broker's.
"""

import heapq
from collections.abc import Iterator

from app.domain.model.contact import Message
from app.domain.model.vocabulary import DueKind
from app.domain.rules.schedule import dues

RESEND_S = 30.0
# One whose record was folded and changed nothing is sent ever more seldom: each may have been a dead letter.
MOST_RESEND_S = 3600.0
ALL_READ = 1 << 62

Entry = tuple[str, DueKind, int, str]  # message id, kind, due time (ms, as the row says), tenant
Now = tuple[int, float]  # wall time (ms since the epoch), boot time (s)


class PartitionTimers:
    """The timers of one partition."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, Entry]] = []
        self._heaped: set[Entry] = set()
        self._armed: dict[str, tuple[Entry, ...]] = {}
        self._sent: dict[Entry, int] = {}
        self._again_s: dict[Entry, float] = {}

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._armed.values())

    def arm(self, message: Message, now: Now) -> None:
        """What is armed for a message becomes what its row says now."""
        entries = tuple((message.id, kind, due, message.tenant) for kind, due in dues(message))
        before = self._armed.get(message.id, ())
        if entries == before:
            return
        for entry in entries:
            # One that a row drops and takes up again (the deadline, at each retry) still waits in the heap.
            if entry not in self._heaped:
                self._heaped.add(entry)
                heapq.heappush(self._heap, (_fire_at(entry, message, now), entry))
        self._armed[message.id] = entries

    def disarm(self, message_id: str) -> None:
        """The row is gone."""
        self._armed.pop(message_id, None)

    def due(self, boot_s: float, folded_to: int = ALL_READ) -> Iterator[Entry]:
        """Entries that came due by `boot_s`; each is armed again `RESEND_S` later, unless its row has dropped it. One
        whose record was not folded yet is passed over; one whose record was folded waits twice as long each time.
        `folded_to`: first offset of the log that is not folded."""
        while self._heap and self._heap[0][0] <= boot_s:
            _, entry = heapq.heappop(self._heap)
            if entry not in self._armed.get(entry[0], ()):
                self._heaped.discard(entry)
                self._sent.pop(entry, None)
                self._again_s.pop(entry, None)
                continue
            sent = self._sent.get(entry)
            folded, again_s = sent is not None and sent < folded_to, RESEND_S
            if folded:
                again_s = self._again_s.get(entry, RESEND_S)
                self._again_s[entry] = min(MOST_RESEND_S, 2 * again_s)
            heapq.heappush(self._heap, (boot_s + again_s, entry))
            if folded or sent is None:
                yield entry

    def sent(self, entry: Entry, offset: int) -> None:
        """The record of this entry is on the log, at `offset` or before it."""
        self._sent[entry] = offset

    def next_s(self) -> float | None:
        """Boot time of the next entry, None if nothing is armed."""
        return self._heap[0][0] if self._heap else None


def _fire_at(entry: Entry, message: Message, now: Now) -> float:
    wall_ms, boot_s = now
    if entry[1] is DueKind.RECALL:
        return boot_s
    if entry[1] is DueKind.DOUBT and message.policy is not None:
        return boot_s + message.policy.doubt_after_ms / 1000
    return boot_s + max(0, entry[2] - wall_ms) / 1000
