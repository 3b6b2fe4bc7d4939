"""Timers: when something of a message comes due, a record on its contact's log says so. Timers never write rows.

The heap is built from the rows at assignment and kept in step by each durable change. A due entry becomes an input
(`contact.due.v1`), which is void unless the row still says the same; it stays armed, and is sent again after
`RESEND_S`, until the row drops it. Doubt is armed as a duration from when this owner folded or inherited the claim:
the log's clock and ours may differ, and an inherited claim deserves its whole time.
"""

import heapq
from collections.abc import Iterable, Iterator

from app.domain.words import DueKind

RESEND_S = 30.0

Entry = tuple[str, DueKind, int]  # message id, kind, due time (ms, as the row says)


class PartitionTimers:
    """The timers of one partition. Times handed in: `wall_ms` for deadlines, `boot_s` for durations."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, Entry]] = []
        self._armed: dict[str, tuple[Entry, ...]] = {}

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._armed.values())

    def arm(
        self, message_id: str, dues: Iterable[tuple[DueKind, int]], now: tuple[int, float], doubt_ms: int = 0
    ) -> None:
        """Replace what is armed for a message by `dues` (kind, due ms), as its row stands now.

        `now`: wall time (ms) and boot time (s). `doubt_ms`: how long a claim may go unanswered.
        """
        entries = tuple((message_id, kind, due) for kind, due in dues)
        before = self._armed.get(message_id, ())
        if entries == before:
            return
        for entry in entries:
            if entry not in before:
                heapq.heappush(self._heap, (_fire_at(entry, now, doubt_ms), entry))
        if entries:
            self._armed[message_id] = entries
        else:
            self._armed.pop(message_id, None)

    def due(self, boot_s: float) -> Iterator[Entry]:
        """Entries that came due by `boot_s`; each is armed again `RESEND_S` later unless its row has dropped it."""
        again: list[Entry] = []
        while self._heap and self._heap[0][0] <= boot_s:
            _, entry = heapq.heappop(self._heap)
            if entry in self._armed.get(entry[0], ()):
                again.append(entry)
                yield entry
        for entry in again:
            heapq.heappush(self._heap, (boot_s + RESEND_S, entry))

    def next_s(self) -> float | None:
        """Boot time of the next entry, None if nothing is armed."""
        return self._heap[0][0] if self._heap else None


def _fire_at(entry: Entry, now: tuple[int, float], doubt_ms: int) -> float:
    wall_ms, boot_s = now
    wait_ms = doubt_ms if entry[1] is DueKind.DOUBT else max(0, entry[2] - wall_ms)
    return boot_s + wait_ms / 1000
