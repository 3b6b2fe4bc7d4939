"""The watchdog: a process that owns work and makes no progress ends itself; a long recovery that advances passes."""

import asyncio
from collections.abc import Callable

from app.streams.engine.engine import Engine
from app.streams.engine.exits import die

LOOK_S = 1.0


async def watch(engine: Engine, stall_s: float, touch: Callable[[], None]) -> None:
    """Runs for the life of the process. Stalled: slices wait, or a recovery is on, and nothing moved for `stall_s`.

    While the lease is over the broker is away: then waiting is right (the lease ends the process if it must).
    """
    while True:
        await asyncio.sleep(LOOK_S)
        health = engine.health()
        if health.waiting and health.lease_s > 0 and health.idle_s > stall_s:
            die(f"no progress for {stall_s:g} s with {health.waiting} slices waiting")
        touch()
