"""The watchdog: a process that owns work and makes no progress ends itself; a long recovery that advances passes."""

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

from app import clock
from app.streams.engine.crash_marker import DeathCause
from app.streams.engine.engine import Engine, EngineHealth
from app.streams.engine.process_exit import die

_log = structlog.get_logger("app.streams.engine")
LOOK_S = 1.0


class Stall:
    """How long there has been work without progress, seconds.

    Only time between two looks that both found work counts: a worker without work is not stalled, however long, and
    is none when the first slice comes. At most two looks' time counts at once, so that a process that was paused gets
    its time to go on. While the lease is over the broker is away: then waiting is right (the lease itself ends the
    process if it must).
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s, self.lasted_s = limit_s, 0.0
        self._seen, self._progress = 0.0, -1

    def look(self, now_s: float, health: EngineHealth) -> bool:
        """Whether the process is stalled. `now_s`: boot clock."""
        since, self._seen = min(now_s - self._seen, 2 * LOOK_S), now_s
        works = bool(health.waiting or health.restoring) and health.lease_s > 0
        moved, self._progress = health.progress != self._progress, health.progress
        self.lasted_s = 0.0 if moved or not works else self.lasted_s + since
        return self.stalled

    @property
    def stalled(self) -> bool:
        """As of the last look."""
        return self.lasted_s > self.limit_s


class Pulse:
    """Whether the event loop turns, looked at from a thread: one that is blocked cannot look itself, while the consumer
    thread goes on sending heartbeats, so that nobody takes the partitions over. Looks are counted, not time: a process
    that was paused gets its time to go on. `progress`: work that holds the loop and advances passes."""

    def __init__(
        self,
        limit_s: float,
        progress: Callable[[], int],
        blame: Callable[[int, DeathCause], None] = lambda *_: None,
    ) -> None:
        self._limit_s, self._silent, self._blame = limit_s, 0, blame
        self._progress, self._seen = progress, -1
        self._beaten, self._over = threading.Event(), threading.Event()
        self._loop = threading.get_ident()

    def beat(self) -> None:
        """Note that the event loop still turns."""
        self._beaten.set()

    def end(self) -> None:
        """The process ends as it was told to."""
        self._over.set()

    def listen(self) -> None:
        """In a thread of its own."""
        while not self._over.wait(LOOK_S):
            if self.blocked():
                _log.error("process.stalled", tasks=list(_where(self._loop)))
                self._blame(self._loop, DeathCause.BLOCKED)
                die(f"no progress for {self._limit_s:g} s: the event loop is blocked")

    def blocked(self) -> bool:
        """True if the loop is blocked; called every LOOK_S."""
        seen, self._seen = self._seen, self._progress()
        moved = self._seen != seen
        self._silent = 0 if moved or self._beaten.is_set() else self._silent + 1
        self._beaten.clear()
        return self._silent * LOOK_S > self._limit_s


def _where(thread: int) -> Iterator[str]:
    """Where a thread is, innermost last: places only, no value."""
    for frame in traceback.extract_stack(sys._current_frames()[thread])[-4:]:
        yield f"{Path(frame.filename).name}:{frame.lineno}:{frame.name}"


async def watch(engine: Engine, stall: Stall, blame: Callable[[int, DeathCause], None]) -> None:
    """Runs for the life of the process. `blame`: notes what a blocked thread has in hand."""
    pulse = Pulse(stall.limit_s, engine.progress, blame)
    threading.Thread(target=pulse.listen, name="pulse", daemon=True).start()
    try:
        await _look(engine, stall, pulse)
    finally:
        pulse.end()


async def _look(engine: Engine, stall: Stall, pulse: Pulse) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        pulse.beat()
        health = engine.health()
        if stall.look(clock.boot_s(), health):
            _log.error("process.stalled", cycles=engine.cycles(), tasks=sorted(where_tasks_wait()))
            die(f"no progress for {stall.limit_s:g} s with {health.waiting} slices waiting")


def where_tasks_wait() -> Iterator[str]:
    """Each task and the coroutines it waits in, innermost last: places only, no value."""
    for task in asyncio.all_tasks():
        yield f"{task.get_name()}: {' > '.join(_chain(task.get_coro()))}"


def _chain(coroutine: Any) -> Iterator[str]:
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        name = getattr(coroutine, "__qualname__", type(coroutine).__name__)
        yield f"{name}:{frame.f_lineno}" if frame is not None else name
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
