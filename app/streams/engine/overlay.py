"""The overlay of one cycle over the rows of one partition."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from app.streams.engine.agent import UNREADABLE_ROW, Output, TableSpec

_MISSING = object()
Encoded = tuple[bytes, bytes | None]


class StoredRows(Protocol):
    """Rows as they are stored, encoded: the engine's own, or a replay's."""

    def get(self, key: bytes) -> bytes | None: ...

    def get_many(self, keys: list[bytes]) -> Sequence[bytes | None]:
        """Rows in the order of `keys`."""
        ...


class Overlay:
    """Reads through to the store once per row; keeps changes apart until they are durable; can undo one record.

    `bytes`: encoded rows read and outputs made, as a measure of the memory that it holds. `ends`: the cycle must end
    behind the record that was folded last.
    """

    def __init__(self, specs: Sequence[TableSpec[Any]], rows: Mapping[str, StoredRows]) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._rows = rows
        self._seen: dict[str, dict[bytes, Any]] = {name: {} for name in self._specs}
        self.changed: dict[str, dict[bytes, Any | None]] = {name: {} for name in self._specs}
        self.outputs: list[Output] = []
        self._undo: list[tuple[str, bytes, Any, Any]] = []
        self._mark = 0
        self.bytes = 0
        self.ends = False

    def preload(self, wanted: Iterable[tuple[str, bytes]]) -> None:
        """Read many rows in one call to the store. One that cannot be decoded is left to `get`, which raises in the
        fold of its record."""
        by_table: dict[str, set[bytes]] = {}
        for table, key in wanted:
            if key not in self._seen[table]:
                by_table.setdefault(table, set()).add(key)
        for table, keys in by_table.items():
            ordered = list(keys)
            decode, seen = self._specs[table].decode, self._seen[table]
            for key, value in zip(ordered, self._rows[table].get_many(ordered), strict=True):
                self.bytes += len(value or b"")
                with suppress(*UNREADABLE_ROW):
                    seen[key] = None if value is None else decode(value)

    def get(self, table: str, key: bytes) -> Any | None:
        seen = self._seen[table]
        row = seen.get(key, _MISSING)
        if row is _MISSING:
            value = self._rows[table].get(key)
            self.bytes += len(value or b"")
            row = seen[key] = None if value is None else self._specs[table].decode(value)
        return row

    def put(self, table: str, key: bytes, row: Any) -> None:
        self._set(table, key, row)

    def drop(self, table: str, key: bytes) -> None:
        self._set(table, key, None)

    def _set(self, table: str, key: bytes, row: Any) -> None:
        seen, changed = self._seen[table], self.changed[table]
        self._undo.append((table, key, seen.get(key, _MISSING), changed.get(key, _MISSING)))
        seen[key] = changed[key] = row

    def emit(self, output: Output) -> None:
        self.outputs.append(output)
        self.bytes += len(output.value or b"")

    def end_cycle(self) -> None:
        self.ends = True

    def take_outputs(self) -> list[Output]:
        """What was emitted so far, to be produced now; `undo` reaches no further back."""
        taken, self.outputs, self._mark = self.outputs, [], 0
        return taken

    def begin(self) -> None:
        """A record's fold begins: from here `undo` takes back."""
        self._undo.clear()
        self._mark = len(self.outputs)

    def undo(self) -> None:
        """Take back what was put and emitted since `begin`."""
        del self.outputs[self._mark :]
        for table, key, seen, changed in reversed(self._undo):
            _restore(self._seen[table], key, seen)
            _restore(self.changed[table], key, changed)
        self._undo.clear()

    def latest(self) -> list[tuple[str, bytes, Any | None]]:
        """Table, key and row (None: dropped) of what changed since `begin`."""
        changed = dict.fromkeys((table, key) for table, key, *_ in self._undo)
        return [(table, key, self.changed[table][key]) for table, key in changed]

    def encoded(self) -> list[tuple[str, list[Encoded]]]:
        """The changed rows as they go to changelog and store, by table, in the order in which they must be durable.

        None is a tombstone. A row is dropped behind the rows of the last table: what that says of an input keeps it
        from being folded again without the row.
        """
        tables = [(name, self._encoded(name)) for name in self._specs]
        drops = [(name, [one for one in rows if one[1] is None]) for name, rows in tables[:-1]]
        puts = [(name, [one for one in rows if one[1] is not None]) for name, rows in tables[:-1]]
        return [(name, rows) for name, rows in (*puts, *tables[-1:], *drops) if rows]

    def _encoded(self, table: str) -> list[Encoded]:
        encode = self._specs[table].encode
        return [(key, None if row is None else encode(row)) for key, row in self.changed[table].items()]


def _restore(into: dict[bytes, Any], key: bytes, value: Any) -> None:
    if value is _MISSING:
        into.pop(key, None)
    else:
        into[key] = value
