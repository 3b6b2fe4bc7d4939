"""An append-only file of frames: length, CRC-32, payload. One fsync may serve many appends.

An incomplete last frame, left by a crash during a write, is dropped when read: its append was never acknowledged.
Damage before complete frames (a bad disk) loses the damaged frames only.
"""

import asyncio
import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app import telemetry

_FRAME = struct.Struct("<II")
# Of a frame that is looked for behind a damaged one: each place is tried, so that longer ones would take minutes.
MAX_RESYNC_BYTES = 1 << 18
_log = telemetry.logger(__name__)


class FramedFile:
    """A file open for appending, for one writer; not thread-safe. Raises OSError on a disk error.

    `promised`: number of bytes from the start that are fsynced, for a reader of the same file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._writer = ThreadPoolExecutor(1, "framed")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._running: asyncio.Task[None] | None = None
        self.promised = self.size()

    def append(self, payload: bytes) -> asyncio.Future[None]:
        """Append `payload`, in the order of calls. The future is done after the fsync, or raises OSError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((frame(payload), future))
        if self._running is None:
            self._running = loop.create_task(self._flush())
        return future

    def note(self, payload: bytes) -> None:
        """Append `payload` without an fsync: it may be lost in a crash. Raises OSError."""
        os.write(self.fd, frame(payload))

    def replace(self, payloads: Iterator[bytes]) -> None:
        """Replace the content atomically: a crash leaves the old or the new one. Not while `busy`. Raises OSError."""
        aside = self.path.with_name(f"{self.path.name}.new")
        fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.writelines(frame(payload) for payload in payloads)
        os.fsync(fd)
        aside.rename(self.path)
        sync_directory(self.path.parent)
        os.close(self.fd)
        self.fd = fd

    def size(self) -> int:
        """Size of the file in bytes."""
        return os.fstat(self.fd).st_size

    @property
    def busy(self) -> bool:
        """True while appends are not fsynced yet."""
        return self._running is not None

    def close(self) -> None:
        """Close the file, after a write in progress has ended."""
        self._writer.shutdown()
        os.close(self.fd)

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await loop.run_in_executor(self._writer, self._write, b"".join(data for data, _ in batch))
            except OSError as error:
                for future in (future for _, future in batch if not future.done()):
                    future.set_exception(error)
            else:
                self.promised += sum(len(data) for data, _ in batch)
                for future in (future for _, future in batch if not future.done()):
                    future.set_result(None)
        self._running = None

    def _write(self, data: bytes) -> None:
        end = self.size()
        try:
            if os.write(self.fd, data) != len(data):
                raise OSError(28, "the disk is full")
            os.fdatasync(self.fd)
        except OSError:
            os.ftruncate(self.fd, end)
            raise


def sync_directory(directory: Path) -> None:
    """Fsync `directory`, so that created and renamed entries survive a power failure. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def frame(payload: bytes) -> bytes:
    """Encode `payload` as one frame."""
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def read_frames(path: Path) -> Iterator[bytes]:
    """Whole frames in order, also those behind damaged ones, which are passed over.

    A damaged file is logged as an error and copied aside as `*.damaged`, as its reader may write it anew. What is not
    whole at the end is logged as a warning: a torn frame, which was never promised, looks the same as a last one that
    was damaged. Raises OSError.
    """
    data, at = path.read_bytes() if path.exists() else b"", 0
    damaged: list[tuple[int, int]] = []
    while at < len(data):
        end = at
        for payload, end in frames_of(data, at):  # noqa: B007 - the last one's end is used
            yield payload
        at = _next_frame(data, end)
        damaged += [(end, at)] if end < at else []
    if damaged and at == damaged[-1][1]:
        position, _ = damaged.pop()
        _log.warning("file.torn", file=path.name, position=position, bytes=at - position)
    if damaged:
        _keep_aside(path, damaged)


def _keep_aside(path: Path, damaged: list[tuple[int, int]]) -> None:
    aside = path.with_name(f"{path.name}.damaged")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(path.read_bytes())
    for start, end in damaged:
        where = {"file": path.name, "position": start, "bytes": end - start}
        _log.error("file.damaged", copied_to=aside.name, **where)


def _next_frame(data: bytes, damaged: int) -> int:
    """Where the next whole frame begins behind a damaged one, else the end: a length that fits its checksum is not met
    by chance."""
    for at in range(damaged + 1, len(data) - _FRAME.size):
        length, crc = _FRAME.unpack_from(data, at)
        start = at + _FRAME.size
        if 0 < length <= min(MAX_RESYNC_BYTES, len(data) - start) and zlib.crc32(data[start : start + length]) == crc:
            return at
    return len(data)


def frames_of(data: bytes, at: int = 0) -> Iterator[tuple[bytes, int]]:
    """Complete frames of `data` from position `at`, each with the position of its end, up to the first incomplete
    one."""
    while at + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, at)
        payload = data[at + _FRAME.size : at + _FRAME.size + length]
        # A frame of nothing is what a file system fills in after a power cut.
        if not length or len(payload) < length or zlib.crc32(payload) != crc:
            return
        at += _FRAME.size + length
        yield payload, at
