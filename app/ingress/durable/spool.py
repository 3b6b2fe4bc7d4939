"""The spool: records on our own disk while Kafka is away, read back in order when it has returned.

Framed files (`records.framed`), the one being written by this process and those left by processes that died, each held
under a lock. A file goes when all of it is on the log. What cannot be read is set aside, never deleted. Requests hold
plain text on their topic, so their values are sealed here.
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
# A file that is read out is deleted whole, so its size bounds what a crash sends twice.
FILE_BYTES = 16 << 20
READ_BYTES = 256 << 10


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    record: LogRecord
    sealed: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class _Part:
    """One file: read from `at`; `writer` while this process appends to it."""

    def __init__(self, path: Path, fd: int, writer: FramedFile | None) -> None:
        self.path, self.fd, self.writer, self.at = path, fd, writer, 0

    @property
    def left(self) -> int:
        """Bytes not on the log yet."""
        return (self.writer.promised if self.writer else os.fstat(self.fd).st_size) - self.at

    @property
    def busy(self) -> bool:
        """Whether records are on their way to the disk."""
        return self.writer is not None and self.writer.busy

    def close(self) -> None:
        """Let go of file and lock."""
        if self.writer is not None:
            self.writer.close()
        else:
            os.close(self.fd)


class Chunk(msgspec.Struct, frozen=True):
    """Records from the head of the spool; `end` is where their file has been read to."""

    records: list[LogRecord]
    end: int


class Spool:
    """See the module. `plain_topics`: those whose values are sealed on disk. One user, in the event loop."""

    def __init__(self, directory: Path, sealer: Sealer, plain_topics: frozenset[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory, self._sealer, self._plain = directory, sealer, plain_topics
        self._parts: deque[_Part] = deque()
        self.adopt()

    @property
    def empty(self) -> bool:
        """Whether nothing waits, neither on disk nor on its way to the disk."""
        return not any(part.left or part.busy for part in self._parts)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return sum(part.left for part in self._parts)

    def append(self, record: LogRecord) -> asyncio.Future[None]:
        """In its place at once, on disk when the future is done; the future raises OSError."""
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
        """The oldest records, `most` of them, still kept; None if none is on disk now. Raises OSError."""
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
        """The chunk that `head` gave last is on the log. A crash before sends it twice, which every reader knows."""
        part = self._parts[0]
        part.at = chunk.end
        if not part.left and not part.busy:
            self._drop(part)

    def refuse(self, chunk: Chunk) -> None:
        """Kafka takes none of this chunk, which `head` gave last: it goes to a file for an operator, to be renamed to
        .spool once Kafka would take it. Raises OSError."""
        self._keep_aside(self._name(), (self._payload(record) for record in chunk.records))
        self.sent(chunk)

    def _keep_aside(self, name: str, payloads: Iterator[bytes]) -> None:
        writer = FramedFile(self._directory / f"{name}.aside")
        writer.replace(payloads)
        writer.close()

    def close(self) -> None:
        """Let go; files that hold something stay for the next process."""
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
        """A file of our own; it has its final name only under the lock, or another process might adopt it."""
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
        """Take over the files that no living process holds, behind what is here. Raises OSError."""
        for path in sorted(self._directory.glob("*.spool")):
            if (fd := _taken(path)) is not None:
                self._parts.append(_Part(path, fd, None))

    def _read(self, part: _Part, most: int | None) -> Chunk:
        """Whole frames from where the file has been read to; a frame longer than a chunk is read alone. Those at the
        head whose content cannot be read are set aside alone."""
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
        """What is read next of this file, and cannot be, goes to a file for an operator."""
        if payloads:
            _log.error("spool.frames_set_aside", file=part.path.name, frames=len(payloads), at=part.at)
            # Names sort as their content stood, for who renames them to be read again.
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
        """A torn end was never promised; anything else is for an operator: rename it to .spool to try again."""
        _log.error("spool.set_aside", file=part.path.name, bytes=part.left, at=part.at)
        part.path.rename(part.path.with_suffix(".aside"))
        self._parts.remove(part)
        part.close()

    def _drop(self, part: _Part) -> None:
        part.path.unlink(missing_ok=True)
        self._parts.remove(part)
        part.close()


def _taken(path: Path) -> int | None:
    """The file, locked; None if another process has it, or had it and sent all of it meanwhile."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except BlockingIOError:
        pass  # it is another's
    os.close(fd)
    return None
