"""The local rows of one partition of one table: Faust's RocksDB, written by the engine.

A row is written here only after the broker acknowledged its changelog record, in one WriteBatch with the changelog
offset, so the store is never ahead of the changelog, and after a crash catches up from it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rocksdict

from app.streams.engine.exits import die

# Per partition and table: RocksDB's own defaults would take gigabytes with 8 partitions x 4 tables in one process.
OPTIONS = {
    "block_cache_size": 2 << 20,
    "write_buffer_size": 2 << 20,
    "max_write_buffer_number": 2,
    "max_open_files": 256,
}

# Two bytes that no key of ours begins with mark Faust's own offset entry.
_OFFSET = b"__faust\0offset__"


class Rows:
    """Rows of one table in one partition. `table` is a `faust.Table` on rocksdb://; `restored_to` tells how far the
    changelog is in the store: the next record on it must be ours (`next_offset`)."""

    def __init__(self, table: Any, partition: int, restored_to: Callable[[str, int], int]) -> None:
        self.changelog: str = table.changelog_topic.get_topic_name()
        self._table, self.partition = table, partition
        self.next_offset = restored_to(self.changelog, partition) + 1

    @property
    def _db(self) -> Any:
        return self._table.data._db_for_partition(self.partition)

    def get(self, key: bytes) -> bytes | None:
        """One row, encoded."""
        with _ending("read"):
            value: bytes | None = self._db.get(key)
        return value

    def get_many(self, keys: list[bytes]) -> Sequence[bytes | None]:
        """Rows in the order of `keys`, in one call."""
        with _ending("read"):
            values: Sequence[bytes | None] = self._db.get(keys)
        return values

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every row."""
        for key, value in self._db.items():
            if key != _OFFSET:
                yield key, value

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], changelog_offset: int) -> None:
        """Rows (None deletes) and the offset of their last changelog record, atomically."""
        with _ending("write"):
            write_rows(self._db, rows, changelog_offset)


@contextmanager
def _ending(did: str) -> Iterator[None]:
    """A store that fails (a full disk, a broken file) is no fault of a record: the process ends."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - RocksDB raises plain exceptions
        die(f"the store failed to {did}: {type(error).__name__}")


def is_new(db: Any) -> bool:
    """Whether nothing was ever written: the offset comes with the first rows."""
    return db.get(_OFFSET) is None


def write_rows(db: Any, rows: Iterable[tuple[bytes, bytes | None]], changelog_offset: int) -> None:
    """One WriteBatch: rows, and how far the changelog is applied."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    for key, value in rows:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    batch.put(_OFFSET, str(changelog_offset).encode())
    db.write(batch)
