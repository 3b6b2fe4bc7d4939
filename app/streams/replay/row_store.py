"""Rows of a replay: in a RocksDB of its own, so that memory stays bounded however many contacts a partition has."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import rocksdict

from app.streams.engine.store import OPTIONS


class RowStore:
    """Keys and values, ordered by key. Opened empty; close it before its directory goes."""

    def __init__(self, path: Path) -> None:
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(OPTIONS["write_buffer_size"])
        options.set_max_open_files(OPTIONS["max_open_files"])
        # Thrown away afterwards: nothing of it needs to survive a crash.
        self._unsafe = rocksdict.WriteOptions()
        self._unsafe.disable_wal = True
        self._db: Any = rocksdict.Rdict(str(path), options)

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._db.get(key)
        return value

    def get_many(self, keys: list[bytes]) -> Sequence[bytes | None]:
        """Values in the order of `keys`."""
        values: Sequence[bytes | None] = self._db.get(keys)
        return values

    def put(self, key: bytes, value: bytes | None) -> None:
        """Keep a value; None removes it."""
        if value is None:
            self._db.delete(key, self._unsafe)
        else:
            self._db.put(key, value, self._unsafe)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key with its value."""
        yield from self._db.items()

    def close(self) -> None:
        """Let go of the files."""
        self._db.close()
