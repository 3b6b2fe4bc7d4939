"""The spool: records on our own disk while Kafka is away, sent in order when it is back.

One framed file per process, under a lock; files of processes that died are taken over. While any holds records, all
goes through it, in order. Requests hold plain text on their topic, so their values are sealed here.
"""

import fcntl
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from app import clock
from app.records.framed import FramedFile, read_frames
from app.records.seal import Sealer

SUBJECT = "spool"


class Record(msgspec.Struct, frozen=True, array_like=True):
    """What is to be produced."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]] = []


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    sealed: bool


_encode = msgspec.msgpack.Encoder().encode


class Spool:
    """See the module. `plain_topics`: those whose values are sealed on disk. Raises OSError when the disk refuses."""

    def __init__(self, directory: Path, sealer: Sealer, plain_topics: frozenset[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sealer, self._plain = sealer, plain_topics
        self._records: deque[Record] = deque()
        self._old = list(self._adopt(directory))
        self._file = FramedFile(directory / f"{clock.now_ms():013d}-{os.getpid()}.spool")
        fcntl.flock(self._file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __len__(self) -> int:
        return len(self._records)

    async def append(self, record: Record) -> None:
        """On disk when it returns."""
        sealed = record.topic in self._plain
        value = self._sealer.seal(record.value, "", SUBJECT).encode() if sealed else record.value
        await self._file.append(_encode(_Kept(record.topic, record.key, value, record.headers, sealed)))
        self._records.append(record)

    def head(self, count: int) -> list[Record]:
        """The first records, still kept."""
        return [self._records[i] for i in range(min(count, len(self._records)))]

    def sent(self, count: int) -> None:
        """The first `count` are on the log. The files go when nothing is left; a crash before sends them twice."""
        for _ in range(count):
            self._records.popleft()
        if not self._records and not self._file.busy:
            self._file.replace(iter(()))
            for fd, path in self._old:
                path.unlink(missing_ok=True)
                os.close(fd)
            self._old = []

    def close(self) -> None:
        """Let go; an empty file is removed."""
        if not self._records:
            self._file.path.unlink(missing_ok=True)
        self._file.close()

    def _adopt(self, directory: Path) -> Iterator[tuple[int, Path]]:
        """Files that no living process holds: their records go first."""
        for path in sorted(directory.glob("*.spool")):
            fd = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                continue
            self._records.extend(self._read(path))
            yield fd, path

    def _read(self, path: Path) -> Iterator[Record]:
        for payload in read_frames(path):
            kept = msgspec.msgpack.decode(payload, type=_Kept)
            value = self._sealer.open(kept.value.decode(), "", SUBJECT) if kept.sealed else kept.value
            yield Record(kept.topic, kept.key, value, kept.headers)
