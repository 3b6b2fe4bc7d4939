"""The watchdog: a process that owns work and makes no progress ends itself; a long recovery that advances passes."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from app.streams.engine.engine import Engine
from app.streams.engine.exits import die

_log = structlog.get_logger("app.streams.engine")
LOOK_S = 1.0


async def watch(engine: Engine, stall_s: float, touch: Callable[[], None]) -> None:
    """Runs for the life of the process. Stalled: slices wait and nothing moved for `stall_s`.

    While the lease is over the broker is away: then waiting is right (the lease ends the process if it must).
    """
    while True:
        await asyncio.sleep(LOOK_S)
        health = engine.health()
        if health.waiting and health.lease_s > 0 and health.idle_s > stall_s:
            _log.error("process.stalled", cycles=engine.cycles(), tasks=sorted(where_tasks_wait()))
            die(f"no progress for {stall_s:g} s with {health.waiting} slices waiting")
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
