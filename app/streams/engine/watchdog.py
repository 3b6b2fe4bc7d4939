"""The watchdog: a process that owns work and makes no progress ends itself; a long recovery that advances passes."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from app import clock
from app.streams.engine.engine import Engine, Health
from app.streams.engine.exits import die

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

    def look(self, now_s: float, health: Health) -> bool:
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


async def watch(engine: Engine, stall: Stall, touch: Callable[[], None]) -> None:
    """Runs for the life of the process."""
    while True:
        await asyncio.sleep(LOOK_S)
        health = engine.health()
        if stall.look(clock.boot_s(), health):
            _log.error("process.stalled", cycles=engine.cycles(), tasks=sorted(where_tasks_wait()))
            die(f"no progress for {stall.limit_s:g} s with {health.waiting} slices waiting")
        touch()


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
