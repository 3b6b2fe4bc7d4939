"""The changed rows of one partition on their way: onto the changelog, and once acknowledged there into the store."""

from collections.abc import Iterable, Mapping, Sequence

from app.streams.engine import failpoints
from app.streams.engine.errors import RecordRefusedError
from app.streams.engine.process_exit import die
from app.streams.engine.producer import AppendResult, LeasedProducer
from app.streams.engine.store import Rows

Changed = Sequence[tuple[bytes, bytes | None]]


class RowWriter:
    """`rows`: by table, in the order in which they must be durable."""

    def __init__(self, number: int, rows: Mapping[str, Rows], producer: LeasedProducer, unsafe: frozenset[str]) -> None:
        self._number, self._rows, self._producer, self._unsafe = number, rows, producer, unsafe
        self._written: dict[str, set[bytes]] | None = {name: set() for name in rows}

    async def store(self, encoded: Iterable[tuple[str, Changed]]) -> None:
        """Rows by table, in the order in which they must be durable; None for a deleted one.

        Raises RecordRefusedError; a fault of the store ends the process.
        """
        for table, changed in encoded:
            rows = self._rows[table]
            if "store_first" in self._unsafe:
                rows.write(changed, -1, 0)
            failpoints.reach("before_changelog")
            rows.write(changed, *await self._put(rows, changed))
            self.written(table, (key for key, _ in changed))

    async def _put(self, rows: Rows, changed: Changed) -> AppendResult:
        """Write the rows to the changelog."""
        try:
            appended = await self._producer.changelog(rows.changelog, self._number, changed)
        except RecordRefusedError as refused:
            # Rows before it are on the changelog, and will be put again: the store may be behind it, never ahead.
            if refused.last_offset is not None:
                rows.next_offset = refused.last_offset + 1
            raise
        self._refuse_foreign(rows, appended.offset, len(changed))
        return appended

    def written(self, table: str, keys: Iterable[bytes]) -> None:
        """Note rows for `put_again`."""
        if self._written is not None:
            self._written[table].update(keys)

    def _refuse_foreign(self, rows: Rows, last: int, count: int) -> None:
        """A delayed write from the previous partition owner landed between our records, perhaps over a newer row.

        What is restored at the next start is not misled by it, and puts that row again.
        """
        if last - count + 1 != rows.next_offset and "foreign" not in self._unsafe:
            where = f"expected at {rows.next_offset}, are at {last - count + 1}"
            die(f"{rows.changelog}-{self._number}: our rows were {where}: a former owner wrote between them")
        rows.next_offset = last + 1

    async def put_again(self) -> None:
        """Put every row written since the assignment once more, so that no late write of a former owner is the last."""
        written, self._written = self._written, None
        for table, keys in (written or {}).items():
            ordered = list(keys)
            rows = self._rows[table]
            if ordered:
                again = list(zip(ordered, rows.get_many(ordered), strict=True))
                rows.write((), *await self._put(rows, again))
