"""What the slices of a changelog make of the rows of a table."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

Read = Callable[[list[bytes]], Sequence[bytes | None]]
Rows = dict[bytes, bytes | None]

# Rows whose watermarks are remembered, over all restores of a process: some 60 MB, until the recovery is over.
REMEMBERED = 300_000
_ABSENT = -1


class Restore:
    """The restore of one changelog partition.

    A row whose watermark lies below that of a row before it is the write of a former owner, which the network held back
    until another had taken over: it is passed over. `back` holds the keys over whose row such a one lies, still.
    Without `watermark` the last row counts; a tombstone always does. `stored` reads rows written before: to ask it for
    every key would cost most of all, so watermarks are remembered, and a store that had no row (`empty`) is not asked.
    """

    def __init__(self, stored: Read, watermark: Callable[[bytes], int] | None, empty: bool) -> None:
        self._stored, self._watermark = stored, watermark
        self._stands: dict[bytes, int] = {}
        self._all_known = self._began_empty = empty
        self._highest = _ABSENT
        self.back: set[bytes] = set()

    def remembered(self) -> int:
        """How many watermarks are remembered."""
        return len(self._stands)

    def forget(self) -> None:
        """Give the memory back: rows that are written can be read."""
        self._stands.clear()
        self._all_known = False

    def highest(self) -> int | None:
        """The highest watermark of the table's rows, -1 if it has none; None: unknown, the store must be read."""
        return self._highest if self._began_empty and self._watermark else None

    def rows(self, records: Collection[Any]) -> Rows:
        """The rows to write (None: deleted), by key. Each must be in the store before the next slice comes."""
        if self._watermark is None:
            return {record.key: record.value for record in records if record.key is not None}
        if not self._all_known:
            self._learn({record.key for record in records if record.key is not None})
        return self._rising(records, self._watermark)

    def _learn(self, keys: set[bytes]) -> None:
        unknown = list(keys - self._stands.keys())
        for key, value in zip(unknown, self._stored(unknown), strict=True):
            self._stands[key] = _ABSENT if value is None or self._watermark is None else self._watermark(value)

    def _rising(self, records: Collection[Any], watermark: Callable[[bytes], int]) -> Rows:
        rows: Rows = {}
        stands, back = self._stands, self.back
        for record in records:
            key, value = record.key, record.value
            if key is None:  # no row of ours
                continue
            stand = _ABSENT if value is None else watermark(value)
            if value is not None and stand < stands.get(key, _ABSENT):
                back.add(key)
                continue
            back.discard(key)
            rows[key], stands[key] = value, stand
            self._highest = max(self._highest, stand)
        return rows


class Restores:
    """The restores of a recovery, by changelog and partition number."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._of: dict[tuple[str, int], Restore] = {}

    def begin(self, place: tuple[str, int], new: Callable[[], Restore]) -> Restore:
        """The restore of this partition, made by `new` for its first slice."""
        found = self._of.get(place)
        if found is None:
            found = self._of[place] = new()
        return found

    def bound(self) -> None:
        """Forget what was remembered, if it is too much."""
        if sum(restore.remembered() for restore in self._of.values()) > self._most:
            self.over()

    def over(self) -> None:
        """All rows are in the store: only `back` and `highest` are asked for from now on."""
        for restore in self._of.values():
            restore.forget()

    def of(self, place: tuple[str, int]) -> Restore | None:
        """The restore of this partition; None if no slice of it came."""
        return self._of.get(place)

    def clear(self) -> None:
        """Partitions go to others."""
        self._of.clear()
