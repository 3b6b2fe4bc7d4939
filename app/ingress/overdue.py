"""Time limits for what nearly always ends at once: one timer for all, as asyncio.timeout costs each some microseconds.

A limit is kept to within a tenth of itself.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

Done = TypeVar("Done")


class Overdue:
    """Nothing waited for through it takes longer than `most_s`. One user, in the event loop."""

    def __init__(self, most_s: float) -> None:
        self.most_s = most_s
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wait(self, what: Awaitable[Done]) -> Done:
        """What it gives. Raises TimeoutError; the task that waits may wait for one thing at a time."""
        # Asked once: before Python 3.12 the running loop costs a system call.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None, "only a task waits"
        self._waiting[task] = loop.time() + self.most_s
        if self._timer is None:
            self._timer = loop.call_later(self.most_s / 10, self._look, loop)
        try:
            return await what
        except asyncio.CancelledError:
            if task in self._late and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            del self._waiting[task]
            self._late.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now_s = loop.time()
        for task, due_s in tuple(self._waiting.items()):
            if due_s > now_s:
                break  # in the order of their times
            if task not in self._late:
                self._late.add(task)
                task.cancel()
        if self._waiting:
            self._timer = loop.call_later(self.most_s / 10, self._look, loop)
