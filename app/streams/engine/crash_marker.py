"""What this process is doing to which records, kept in memory that outlives it.

The marker is a memory-mapped file: what is written to it survives the death of the process without a system call, and
at the next start it says which records were in hand. Only deaths that a record can have caused count: a crash of the
interpreter (SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, as `faulthandler` writes them down), an exit in the middle of the
work, and the watchdog that found the work blocked. SIGKILL and SIGTERM leave no such trace and count for nobody.
"""

import faulthandler
import mmap
import os
import re
import struct
import threading
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

# stage, cause, length of the topic's name, partition, first and last offset, log time of the first, thread.
_FIELDS = struct.Struct("<BBHiqqqQ")
_STAGE, _CAUSE = 0, 1
_SLOT_BYTES = 512
_CURRENT_THREAD = re.compile(rb"^Current thread 0x([0-9a-f]+)[^\n]*\n((?:  File [^\n]*\n)*)", re.MULTILINE)
_FRAME = re.compile(rb'File "([^"]*)", line (\d+) in ([^\n]+)')
MOST_FRAMES = 6


class WorkStage(IntEnum):
    """What is done to the records in hand."""

    IDLE = 0
    READ = 1
    FOLD = 2
    ENCODE = 3


class DeathCause(IntEnum):
    """What ended the process, as far as it left word."""

    UNKNOWN = 0
    EXIT = 1
    BLOCKED = 2
    SIGNAL = 3


class Work(NamedTuple):
    """Records in hand: offsets `first` to `last` of a partition; `at_ms`: log time of the first, ms since the epoch."""

    topic: str
    partition: int
    first: int
    last: int
    at_ms: int


class Death(NamedTuple):
    """An earlier process ended while it did `stage` to `work`."""

    work: Work
    stage: WorkStage
    cause: DeathCause


class Slot:
    """The part of the marker that one thread writes. `enter` and `leave` cost about a microsecond."""

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory, self._start, self.thread = memory, start, 0

    def enter(self, stage: WorkStage, work: Work) -> None:
        """The calling thread begins `stage`. The stage is written last: before it the rest counts for nothing."""
        self.thread, topic, start = threading.get_ident(), work.topic.encode(), self._start
        fields = (0, 0, len(topic), work.partition, work.first, work.last, work.at_ms, self.thread)
        _FIELDS.pack_into(self._memory, start, *fields)
        at = start + _FIELDS.size
        self._memory[at : at + len(topic)] = topic
        self._memory[start + _STAGE] = stage

    def leave(self) -> None:
        """Nothing is in hand."""
        self._memory[self._start + _STAGE] = WorkStage.IDLE

    def blame(self, cause: DeathCause) -> None:
        """The process ends now, and what is in hand has caused it; nothing is noted when nothing is."""
        if self._memory[self._start + _STAGE]:
            self._memory[self._start + _CAUSE] = cause

    def found(self, crashed: int | None) -> Death | None:
        """What an earlier process left here. `crashed`: the thread whose crash it wrote down."""
        stage, cause, length, partition, first, last, at_ms, thread = _FIELDS.unpack_from(self._memory, self._start)
        if crashed is not None and crashed == thread:
            cause = DeathCause.SIGNAL
        # Others come from another build, or from a broken disk.
        if not stage or not cause or stage not in set(WorkStage) or cause not in set(DeathCause):
            return None
        at = self._start + _FIELDS.size
        topic = self._memory[at : at + length].decode("utf-8", "replace")
        return Death(Work(topic, partition, first, last, at_ms), WorkStage(stage), DeathCause(cause))


class CrashMarker:
    """The marker of a data directory, with a slot for the thread that reads batches and one for the loop that folds.

    Opening it takes over what an earlier process left: `deaths`, and `trace`, where the interpreter was when it crashed
    (file:line:function, innermost first). One process at a time may hold the directory.
    """

    def __init__(self, directory: Path) -> None:
        with (directory / "marker").open("a+b") as file:
            file.truncate(2 * _SLOT_BYTES)
            memory = mmap.mmap(file.fileno(), 2 * _SLOT_BYTES)
        self.reading, self.folding = Slot(memory, 0), Slot(memory, _SLOT_BYTES)
        self._crash_path = directory / "crash"
        self.trace: list[str] = []
        self.deaths = self._take_over()
        memory[:] = bytes(2 * _SLOT_BYTES)
        self._crash_file: BinaryIO | None = None

    def _take_over(self) -> list[Death]:
        trace = self._crash_path.read_bytes() if self._crash_path.exists() else b""
        match = _CURRENT_THREAD.search(trace)
        crashed = int(match[1], 16) if match else None
        frames = _FRAME.findall(match[2])[:MOST_FRAMES] if match else []
        self.trace = [f"{Path(file.decode()).name}:{line.decode()}:{name.decode()}" for file, line, name in frames]
        return [death for slot in (self.reading, self.folding) if (death := slot.found(crashed)) is not None]

    def watch(self) -> None:
        """From here a crash of the interpreter is written down, and an exit in the middle of the work is noted."""
        self._crash_file = self._crash_path.open("wb")
        faulthandler.enable(self._crash_file)  # with all threads it names the one that crashed
        leave = os._exit

        def noted_exit(code: int) -> None:
            if code != os.EX_CONFIG:
                self.blame_thread(threading.get_ident(), DeathCause.EXIT)
            leave(code)

        os._exit = noted_exit  # type: ignore[assignment] # a library's exit must be noted too

    def blame_thread(self, thread: int, cause: DeathCause) -> None:
        """The process ends now; whatever this thread has in hand has caused it."""
        for slot in (self.reading, self.folding):
            if slot.thread == thread:
                slot.blame(cause)
