"""The local rows of one partition of one table: Faust's RocksDB, written by the engine.

A row is written here only after the broker acknowledged its changelog record, in one WriteBatch with the changelog
offset, so the store is never ahead of the changelog, and after a crash catches up from it. Beside the offset stands up
to when the store followed which changelog: see `freshness`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import rocksdict

from app.streams.engine.process_exit import die

# Per partition and table: RocksDB's own defaults would take gigabytes with 8 partitions x 4 tables in one process.
OPTIONS = {
    "block_cache_size": 2 << 20,
    "write_buffer_size": 2 << 20,
    "max_write_buffer_number": 2,
    "max_open_files": 256,
}

# No key of ours begins like this: Faust's own offset entry, and ours beside it.
_OWN = b"__faust\0"
_OFFSET, _FOLLOWED = _OWN + b"offset__", _OWN + b"followed__"
# Behind every key.
_END = b"\xff" * 16


class ChangelogProgress(NamedTuple):
    """Up to when a store followed its changelog: `at_ms` by the broker's clock, ms since the epoch; `log_id`: the
    changelog's topic id, "" if the broker has none."""

    at_ms: int
    log_id: str


class Rows:
    """Rows of one table in one partition. `table` is a `faust.Table` on rocksdb://; `restored_to` tells how far the
    changelog is in the store: the next record on it must be ours (`next_offset`). `log_id`: see `ChangelogProgress`."""

    def __init__(self, table: Any, partition: int, restored_to: Callable[[str, int], int], log_id: str = "") -> None:
        self.changelog: str = table.changelog_topic.get_topic_name()
        self._table, self.partition, self._log_id = table, partition, log_id
        self.next_offset = restored_to(self.changelog, partition) + 1

    @property
    def _db(self) -> Any:
        return self._table.data._db_for_partition(self.partition)

    def get(self, key: bytes) -> bytes | None:
        """The encoded row with this key, None if there is none."""
        with self._ending("read"):
            value: bytes | None = self._db.get(key)
        return value

    def get_many(self, keys: list[bytes]) -> Sequence[bytes | None]:
        """Rows in the order of `keys`, in one call."""
        with self._ending("read"):
            values: Sequence[bytes | None] = self._db.get(keys)
        return values

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every row with its key."""
        for key, value in self._db.items():
            if not key.startswith(_OWN):
                yield key, value

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], changelog_offset: int, at_ms: int) -> None:
        """Rows (None deletes), and offset and log time (ms) of their last changelog record, atomically."""
        with self._ending("write"):
            write_rows(self._db, rows, changelog_offset, ChangelogProgress(at_ms, self._log_id))

    @contextmanager
    def _ending(self, did: str) -> Iterator[None]:
        """A store that fails (a full disk, a broken file) is no fault of a record: the process ends."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - RocksDB raises plain exceptions
            where = f"{self.changelog}-{self.partition}"
            die(f"the store of {where} failed to {did}: {type(error).__name__}: {str(error)[:200]}")


def is_new(db: Any) -> bool:
    """Whether nothing was ever written: the offset comes with the first rows."""
    return db.get(_OFFSET) is None


def offset_of(db: Any) -> int:
    """The offset of the last changelog record applied, -1 if none was."""
    stored = db.get(_OFFSET)
    return -1 if stored is None else int(stored)


def followed_of(db: Any) -> ChangelogProgress | None:
    """What `write_rows` noted; None for a store of an older build, or a new one."""
    stored = db.get(_FOLLOWED)
    at_ms, _, log_id = (stored or b"").decode().partition(" ")
    return None if stored is None else ChangelogProgress(int(at_ms), log_id)


def wipe(db: Any) -> None:
    """Delete all of it, at once: a crash leaves everything or nothing."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    batch.delete_range(b"", _END)
    db.write(batch)


def write_rows(
    db: Any, rows: Iterable[tuple[bytes, bytes | None]], changelog_offset: int, followed: ChangelogProgress
) -> None:
    """One WriteBatch: rows, how far the changelog is applied, and up to when it was followed."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    for key, value in rows:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    batch.put(_OFFSET, str(changelog_offset).encode())
    batch.put(_FOLLOWED, f"{followed.at_ms} {followed.log_id}".encode())
    db.write(batch)
