"""The journal: create results on local disk until they are on the log."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from app.durable.framed_file import FramedFile, read_frames

# Size in bytes at which the file is rewritten with its pending entries; then again at twice the new size, if larger.
COMPACT_BYTES = 4 << 20


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    entry_id: str
    value: bytes = b""
    done: bool = False


_encode = msgspec.msgpack.Encoder().encode


class Journal:
    """Entries survive a crash between `keep` and `done`. If a `done` is lost, the entry is sent twice; the fold ignores
    the duplicate."""

    def __init__(self, path: Path) -> None:
        self._open = _read(path)
        self._file = FramedFile(path)
        self._rewrite()

    def _rewrite(self) -> None:
        self._file.replace(_encode(_Entry(entry_id, value)) for entry_id, value in self._open.items())
        self._rewrite_at = max(COMPACT_BYTES, 2 * self._file.size())

    async def keep(self, entry_id: str, value: bytes) -> None:
        """Store an entry; it is fsynced on return. Raises OSError."""
        self._open[entry_id] = value
        await self._file.append(_encode(_Entry(entry_id, value)))

    def done(self, entry_id: str) -> None:
        """Remove an entry, because its record is on the log."""
        if self._open.pop(entry_id, None) is None:
            return
        if self._file.busy:
            return
        if self._file.size() > self._rewrite_at:
            self._rewrite()
        else:
            self._file.note(_encode(_Entry(entry_id, b"", True)))

    def pending(self) -> Iterator[tuple[str, bytes]]:
        """Entries that were kept and are not done, oldest first."""
        yield from tuple(self._open.items())

    def close(self) -> None:
        """Close the file of the journal."""
        self._file.close()


def _read(path: Path) -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    for payload in read_frames(path):
        entry = msgspec.msgpack.decode(payload, type=_Entry)
        if entry.done:
            entries.pop(entry.entry_id, None)
        else:
            entries[entry.entry_id] = entry.value
    return entries
