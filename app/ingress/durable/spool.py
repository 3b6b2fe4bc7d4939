"""The spool: records on local disk while Kafka is unavailable, read back in order afterwards.

It consists of framed files (`durable/framed_file.py`), each under a lock: the one that this process writes, and those
of processes that ended. A file is deleted once all of it is on the log. Content that cannot be read is set aside, never
deleted. Requests are plain text on their topic, so their values are sealed here.
"""

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from app import clock, telemetry
from app.durable.framed_file import FramedFile, frame, frames_of, sync_directory
from app.ingress.durable.record import LogRecord
from app.records.seal import Sealer, UnsealError

_log = telemetry.logger(__name__)

SUBJECT = "spool"
# A file is deleted once all of it was sent, so its size limits what is sent twice after a crash.
FILE_BYTES = 16 << 20
READ_BYTES = 256 << 10


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    record: LogRecord
    sealed: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class _Part:
    """One file. `at`: position of the first unsent byte; `writer`: set while this process appends to it."""

    def __init__(self, path: Path, fd: int, writer: FramedFile | None) -> None:
        self.path, self.fd, self.writer, self.at = path, fd, writer, 0

    @property
    def left(self) -> int:
        """Bytes that are fsynced and not sent yet."""
        return (self.writer.promised if self.writer else os.fstat(self.fd).st_size) - self.at

    @property
    def busy(self) -> bool:
        """True while appended records are not fsynced yet."""
        return self.writer is not None and self.writer.busy

    def close(self) -> None:
        """Close the file, which releases its lock."""
        if self.writer is not None:
            self.writer.close()
        else:
            os.close(self.fd)


class Chunk(msgspec.Struct, frozen=True):
    """Records from the head of the spool. `end`: position in their file behind the last of them."""

    records: list[LogRecord]
    end: int


class Spool:
    """A queue of records on disk. `plain_topics`: topics whose values are sealed on disk. For one user, in the event
    loop."""

    def __init__(self, directory: Path, sealer: Sealer, plain_topics: frozenset[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory, self._sealer, self._plain = directory, sealer, plain_topics
        self._parts: deque[_Part] = deque()
        self.adopt()

    @property
    def empty(self) -> bool:
        """True if no record is on disk or being written."""
        return not any(part.left or part.busy for part in self._parts)

    @property
    def size(self) -> int:
        """Bytes that are not sent yet."""
        return sum(part.left for part in self._parts)

    def append(self, record: LogRecord) -> asyncio.Future[None]:
        """Append `record`, synchronously, in the order of calls. The future is done after the fsync; raises OSError."""
        payload = self._payload(record)
        try:
            return self._writer().append(payload)
        except OSError as error:
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    def _payload(self, record: LogRecord) -> bytes:
        sealed = record.topic in self._plain
        if sealed:
            value = self._sealer.seal(record.value, "", SUBJECT).encode()
            record = msgspec.structs.replace(record, value=value)
        return _encode(_Kept(record, sealed))

    def head(self, most: int | None = None) -> Chunk | None:
        """Read the oldest records, at most `most`, without removing them; None if none is on disk. Raises OSError."""
        while self._parts and (part := self._parts[0]):
            if part.left:
                begin, chunk = part.at, self._read(part, most)
                if chunk.records:
                    return chunk
                if part.at == begin:
                    self._set_aside(part)
            elif part.busy:
                return None
            else:
                self._drop(part)
        return None

    def sent(self, chunk: Chunk) -> None:
        """Remove the chunk that `head` returned last: it is on the log. After a crash before this call it is sent
        again, and every reader ignores such a duplicate."""
        part = self._parts[0]
        part.at = chunk.end
        if not part.left and not part.busy:
            self._drop(part)

    def refuse(self, chunk: Chunk) -> None:
        """Set aside the chunk that `head` returned last, because Kafka rejects it. An operator may rename its file to
        .spool to have it sent again. Raises OSError."""
        self._keep_aside(self._name(), (self._payload(record) for record in chunk.records))
        self.sent(chunk)

    def _keep_aside(self, name: str, payloads: Iterator[bytes]) -> None:
        writer = FramedFile(self._directory / f"{name}.aside")
        writer.replace(payloads)
        writer.close()

    def close(self) -> None:
        """Close the files; those with unsent records stay for the next process."""
        for part in tuple(self._parts):
            if part.left:
                part.close()
            else:
                self._drop(part)
        self._parts.clear()

    def _writer(self) -> FramedFile:
        last = self._parts[-1] if self._parts else None
        if last is not None and last.writer is not None and last.writer.promised < FILE_BYTES:
            return last.writer
        return self._begin()

    def _begin(self) -> FramedFile:
        """Create a file. It gets its final name once it is locked, or another process might adopt it."""
        name = f"{self._name()}.spool"
        writer = FramedFile(self._directory / f"{name}.new")
        fcntl.flock(writer.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer.path = writer.path.rename(self._directory / name)
        sync_directory(self._directory)
        self._parts.append(_Part(writer.path, writer.fd, writer))
        return writer

    @staticmethod
    def _name() -> str:
        return f"{clock.now_ms():013d}-{os.getpid()}-{clock.new_id()[:4]}"

    def adopt(self) -> None:
        """Append the files that no running process has locked. Raises OSError."""
        for path in sorted(self._directory.glob("*.spool")):
            if (fd := _taken(path)) is not None:
                self._parts.append(_Part(path, fd, None))

    def _read(self, part: _Part, most: int | None) -> Chunk:
        """Read complete frames from the first unsent byte; a frame longer than a chunk is read alone. Frames at the
        head whose content cannot be decoded are set aside."""
        size, begin = READ_BYTES, part.at
        records, unread, end = list[LogRecord](), list[bytes](), begin
        while end == begin:
            data = os.pread(part.fd, min(size, part.left), begin)
            for payload, at in islice(frames_of(data), most):
                record = self._opened(payload)
                if record is not None:
                    records.append(record)
                elif records:
                    break
                else:
                    unread.append(payload)
                end = begin + at
            if size >= part.left:
                break
            size *= 4
        self._pass_over(part, unread)
        return Chunk(records, end)

    def _pass_over(self, part: _Part, payloads: list[bytes]) -> None:
        """Move frames that cannot be decoded to a file of their own, for an operator."""
        if payloads:
            _log.error("spool.frames_set_aside", file=part.path.name, frames=len(payloads), at=part.at)
            # Names sort in the order of their content, for an operator who renames them to be read again.
            self._keep_aside(f"{part.path.stem}-{part.at:012d}", iter(payloads))
            part.at += sum(len(frame(payload)) for payload in payloads)

    def _opened(self, payload: bytes) -> LogRecord | None:
        try:
            kept = _decode(payload)
            if not kept.sealed:
                return kept.record
            value = self._sealer.open(kept.record.value.decode(), "", SUBJECT)
        except (msgspec.MsgspecError, UnsealError, UnicodeDecodeError) as fault:
            _log.error("spool.unreadable", fault=type(fault).__name__)
            return None
        return msgspec.structs.replace(kept.record, value=value)

    def _set_aside(self, part: _Part) -> None:
        """Set aside the unreadable rest of a file. A torn last frame was never acknowledged; an operator may rename the
        file to .spool to try again."""
        _log.error("spool.set_aside", file=part.path.name, bytes=part.left, at=part.at)
        part.path.rename(part.path.with_suffix(".aside"))
        self._parts.remove(part)
        part.close()

    def _drop(self, part: _Part) -> None:
        part.path.unlink(missing_ok=True)
        self._parts.remove(part)
        part.close()


def _taken(path: Path) -> int | None:
    """Open and lock the file; None if another process has locked it, or has sent and deleted it in the meantime."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except BlockingIOError:
        pass  # another process has locked it
    os.close(fd)
    return None
