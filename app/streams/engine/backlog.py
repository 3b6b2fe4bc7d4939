"""The records of one partition that wait for their cycle, in the order of the log."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from app.streams.engine.agent import Input


@dataclass(slots=True, eq=False)
class Slice:
    """Records of one partition as fetched, in order; `first` and `last`: the offsets it covers. `ack` is called when
    the cycle of its last record is durable."""

    records: Sequence[Input]
    first: int
    last: int
    ack: Callable[[], None]


class Backlog:
    """Slices in order. A cycle takes records off the front; `settle` makes that final, `rewind` takes it back."""

    def __init__(self) -> None:
        self._slices: deque[Slice] = deque()
        self._start = self.taken = 0

    def __len__(self) -> int:
        return len(self._slices)

    def add(self, piece: Slice) -> None:
        """Queue a slice; one without records (transaction markers) is settled in its turn."""
        self._slices.append(piece)

    def next(self, count: int) -> list[Input]:
        """The next records, at most `count`; they are not taken yet."""
        at, found = self._start + self.taken, list[Input]()
        for piece in self._slices:
            if at < len(piece.records):
                found += islice(piece.records, at, at + count - len(found))
                if len(found) == count:
                    break
            at = max(0, at - len(piece.records))
        return found

    def in_hand(self) -> list[Input]:
        """The records that were taken since the last `settle`."""
        at, count = self._start, self.taken
        return list(islice((record for piece in self._slices for record in piece.records), at, at + count))

    def last_in_hand(self) -> int:
        """Offset of the last record that was taken since the last `settle`, -1 if none was."""
        at = self._start + self.taken - 1
        for piece in self._slices if self.taken else ():
            if at < len(piece.records):
                return piece.records[at].offset
            at -= len(piece.records)
        return -1

    def settle(self) -> list[Slice]:
        """What was taken is durable: the slices that are done with it, in order."""
        at, self.taken, done = self._start + self.taken, 0, list[Slice]()
        while self._slices and at >= len(self._slices[0].records):
            done.append(self._slices.popleft())
            at -= len(done[-1].records)
        self._start = at
        return done

    def rewind(self) -> None:
        """Nothing of what was taken since the last `settle` counts."""
        self.taken = 0
