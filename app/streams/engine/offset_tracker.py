"""The commit book of one partition: what was delivered, what is done, and how far that has no hole."""

from collections import deque


class OffsetTracker:
    """What was delivered of one partition and what is done: only the contiguous done prefix may be committed."""

    def __init__(self) -> None:
        self.expected: int | None = None
        self._open: deque[list[int]] = deque()

    def delivered(self, first: int, last: int) -> list[int]:
        """Note a slice; the returned entry is marked by `done`."""
        self.expected = last + 1
        entry = [first, last, 0]
        self._open.append(entry)
        return entry

    @staticmethod
    def done(entry: list[int]) -> None:
        """The cycle of this slice is durable."""
        entry[2] = 1

    def committable(self) -> int | None:
        """The offset to commit, if it moved."""
        last = None
        while self._open and self._open[0][2]:
            last = self._open.popleft()[1]
        return None if last is None else last + 1

    def __len__(self) -> int:
        return len(self._open)
