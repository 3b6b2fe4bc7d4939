"""The proof of P6: live rows against the rows that the log folds to, byte for byte, at equal watermark.

While workers run the log is ahead of the rows and the rows are ahead of each other, so each live row is compared with
the folded one as it stood after the very input that the live row says it folded last. A row that lags behind the inputs
which the workers committed is different too: an update was lost.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import msgspec

from app.streams.agents.contact_fold import CONTACTS, MESSAGES, ContactFold, stand_of
from app.streams.replay.row_diff import RowDifference, first_difference
from app.streams.replay.row_store import RowStore

TOLD = 20  # differences told in words; the others are counted
_COMPARED = b""  # on the shelf of live rows in place of one that was compared


class DifferentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A live row that does not follow from the log. `key`: contact or message id; `field`: where the first difference
    lies; `folded` and `live`: what the two say there."""

    table: str
    key: str
    field: str
    folded: str
    live: str


class RowVerification:
    """Watches the replay of one partition.

    `live`: a shelf of live rows for each table, used up; `rows`: those of the replay. `committed`: inputs below this
    offset were folded by the workers, and rows read later show it. `start`: the log's first offset that is not deleted.
    """

    def __init__(
        self, fold: ContactFold, live: Mapping[str, RowStore], rows: Mapping[str, RowStore], committed: int, start: int
    ) -> None:
        self._encode = {spec.name: spec.encode for spec in fold.tables}
        self._live, self._rows, self._committed, self._start = live, rows, committed, start
        self._missing: dict[bytes, int] = {}
        self.compared = {CONTACTS: 0, MESSAGES: 0}
        self.not_provable = {CONTACTS: 0, MESSAGES: 0}
        self._unsure: set[bytes] = set()
        self._doubted: set[tuple[str, bytes]] = set()
        self._wrong: dict[tuple[str, bytes], RowDifference] = {}

    @property
    def told(self) -> list[DifferentRow]:
        """The first of them, in words."""
        some = islice(self._wrong.items(), TOLD)
        return [DifferentRow(table=t, key=key.decode("latin-1"), **found._asdict()) for (t, key), found in some]

    @property
    def different(self) -> int:
        """Rows that differ, are missing, or should not be there."""
        return len(self._wrong)

    def changed(self, table: str, key: bytes, row: Any | None, offset: int) -> None:
        live = self._live[table].get(key)
        if live is None:
            self._without_row(table, key, row, offset)
            return
        stands = -1 if live == _COMPARED else _watermark(live)
        if stands is None:
            self._differs(table, key, RowDifference("row", "a row", "not readable"))
        elif stands == offset and row is not None:
            self._compare(table, key, row, live)
        elif stands < offset < self._committed:
            dropped = RowDifference("row", "dropped by the log", "still there")
            stale = RowDifference("watermark", str(offset), "an earlier input")
            self._differs(table, key, dropped if row is None else stale)

    def unsure(self, key: bytes) -> None:
        """The row cannot be trusted yet. What was found of its row before counts no more."""
        self._unsure.add(key)
        for table in self._live:
            if self._wrong.pop((table, key), None) is not None:
                self._doubt(table, key)

    def _without_row(self, table: str, key: bytes, row: Any | None, offset: int) -> None:
        """A contact's row is for ever; that of a message may have been dropped by an input still to come."""
        if row is None:
            self._missing.pop(key, None)
        elif offset < self._committed and key not in self._missing:
            self._missing[key] = offset
            if table == CONTACTS:
                self._differs(table, key, RowDifference("row", "a row", "nothing"))

    def _compare(self, table: str, key: bytes, row: Any, live: bytes) -> None:
        self._live[table].put(key, _COMPARED)
        self.compared[table] += 1
        if (found := first_difference(self._encode[table](row), live)) is not None:
            self._differs(table, key, found)

    def finish(self) -> None:
        """The log is folded to its end: what was not met is missing, unfounded, or not to be proved."""
        for key in self._missing:
            if b"-" in key and key not in self._unsure:
                self._differs(MESSAGES, key, RowDifference("row", "a row", "nothing"))
        for table in (CONTACTS, MESSAGES):
            for key, live in self._live[table].items():
                if live != _COMPARED and (table, key) not in self._doubted:
                    self._unmet(table, key, live)

    def _unmet(self, table: str, key: bytes, live: bytes) -> None:
        if self._start and not self._whole(table, key, live):
            self.not_provable[table] += 1
        else:
            words = f"offset {_watermark(live)}, where the log has no input that leads to this row"
            self._differs(table, key, RowDifference("watermark", "another", words))

    def _whole(self, table: str, key: bytes, live: bytes) -> bool:
        """Whether what a row follows from is on the log still; for a message, if the replay led to such a row."""
        return self._rows[table].get(key) is not None or (table == CONTACTS and based_offset(live) >= self._start)

    def _differs(self, table: str, key: bytes, found: RowDifference) -> None:
        if key in self._unsure:
            self._doubt(table, key)
        else:
            self._wrong.setdefault((table, key), found)

    def _doubt(self, table: str, key: bytes) -> None:
        """Count a live row as not provable, once, and not as compared."""
        live = self._live[table].get(key)
        if live is None or (table, key) in self._doubted:
            return
        self._doubted.add((table, key))
        self.not_provable[table] += 1
        self.compared[table] -= live == _COMPARED


def based_offset(live: bytes) -> int:
    """The base that a contact's row names; -1 for none, or for what is no row."""
    try:
        return stand_of(live).based_offset
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return -1


def _watermark(live: bytes) -> int | None:
    try:
        return stand_of(live).watermark
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
