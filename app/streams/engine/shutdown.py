"""How a process that was told to end does so: in order if it can, in time always.

Faust stops its consumer thread and waits for it, while a rebalance in that thread waits for Faust's main loop: 60 s,
and then the thread keeps the process. Where Kafka is away a last commit waits for it as long as it is. So the time is
bounded; what is not committed is read again by whoever comes next, which every cycle allows for.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from app import clock
from app.streams.engine.process_exit import FAULT, die, gone

_log = structlog.get_logger("app.streams.engine")
# After the effects under way, which have a limit of their own; supervisors of workers wait for both (ops/systemd).
STOP_S = 15.0
THREADS_S = 2.0
# The others join within the heartbeats of a session; a recovery, which counts as rebalancing too, is not waited for.
REBALANCE_S, LOOK_S = 5.0, 0.02


async def in_time(ending: Coroutine[Any, Any, None], most_s: float = STOP_S) -> None:
    """Until it is done; the process ends (70) if that takes longer."""
    task = asyncio.get_running_loop().create_task(ending)
    done, _ = await asyncio.wait({task}, timeout=most_s)
    if not done:
        die(f"the stop took longer than {most_s:g} s: what is not committed is read again", FAULT)
    task.result()


async def until_not(rebalancing: Callable[[], bool]) -> None:
    """Until a rebalance under way is over, which could hold up the end, but for no longer than `REBALANCE_S`."""
    last_s = clock.boot_s() + REBALANCE_S
    while rebalancing() and clock.boot_s() < last_s:
        await asyncio.sleep(LOOK_S)


def leave() -> None:
    """After all is done: threads that do not end, and would keep the process for ever, end with it."""
    if left := _left(clock.boot_s() + THREADS_S):
        _log.warning("process.threads_left", threads=left)
        gone(0)


def _left(until_s: float) -> list[str]:
    others = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    for thread in others:
        thread.join(max(0.0, until_s - clock.boot_s()))
    return [thread.name for thread in others if thread.is_alive()]
