"""The journal: Twilio's answers on our own disk until they are on the log.

One append-only file of framed entries (length, CRC-32, payload); `keep` returns after an fsync that may serve many.
A torn last entry, the trace of a kill in the middle of a write, is dropped at the next start: it was never promised.
"""

import asyncio
import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

_FRAME = struct.Struct("<II")
# Rewritten when this many bytes of done entries have gathered and nothing is open.
COMPACT_BYTES = 4 << 20


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    entry_id: str
    value: bytes = b""
    done: bool = False


class Journal:
    """See the module. Not thread-safe; one per process. Raises OSError when the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open = dict(_read(path))
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._rewrite()
        self._writer = ThreadPoolExecutor(1, "journal")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._running = False

    async def keep(self, entry_id: str, value: bytes) -> None:
        """On disk when it returns."""
        self._open[entry_id] = value
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((_framed(_Entry(entry_id, value)), future))
        if not self._running:
            self._running = True
            asyncio.get_running_loop().create_task(self._flush())
        await future

    def done(self, entry_id: str) -> None:
        """On the log: the entry need not be sent again. Lost at a crash, it is sent twice, which the fold knows."""
        if self._open.pop(entry_id, None) is not None and not self._open and self._size() > COMPACT_BYTES:
            self._rewrite()
        elif not self._waiting:
            os.write(self._file, _framed(_Entry(entry_id, b"", True)))

    def pending(self) -> Iterator[tuple[str, bytes]]:
        """Entries kept and not done."""
        yield from tuple(self._open.items())

    def close(self) -> None:
        """Let go of the file."""
        self._writer.shutdown()
        os.close(self._file)

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await loop.run_in_executor(self._writer, self._write, b"".join(frame for frame, _ in batch))
            except OSError as error:
                for _, future in batch:
                    future.set_exception(error)
            else:
                for _, future in batch:
                    future.set_result(None)
        self._running = False

    def _write(self, data: bytes) -> None:
        os.write(self._file, data)
        os.fdatasync(self._file)

    def _size(self) -> int:
        return os.fstat(self._file).st_size

    def _rewrite(self) -> None:
        os.ftruncate(self._file, 0)
        if self._open:
            self._write(b"".join(_framed(_Entry(entry_id, value)) for entry_id, value in self._open.items()))


def _framed(entry: _Entry) -> bytes:
    payload = msgspec.msgpack.encode(entry)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _read(path: Path) -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    data = path.read_bytes() if path.exists() else b""
    at = 0
    while at + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, at)
        payload = data[at + _FRAME.size : at + _FRAME.size + length]
        if len(payload) < length or zlib.crc32(payload) != crc:
            break
        entry = msgspec.msgpack.decode(payload, type=_Entry)
        if entry.done:
            entries.pop(entry.entry_id, None)
        else:
            entries[entry.entry_id] = entry.value
        at += _FRAME.size + length
    return entries
