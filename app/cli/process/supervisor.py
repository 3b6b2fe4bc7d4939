"""`heliograph worker --supervised`: a parent that starts its worker again when it ended itself, and says why it ended.

A worker that loses its footing ends un-acked rather than go on (see app.streams.engine.process_exit), so somebody must
start
it again: systemd, or this. What a new start cannot mend (0, 2, 78) is passed on as the parent's own end.
"""

import asyncio
import signal
from collections.abc import Callable

from app import clock, telemetry
from app.cli.process.exit_codes import CONFIG, FAULT, OK, PROBLEMS, USAGE

log = telemetry.logger(__name__)

FIRST_S, MOST_S, SETTLED_S = 0.5, 30.0, 60.0
FINAL = (OK, USAGE, CONFIG)
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENDING = (signal.SIGTERM, signal.SIGINT)
MEANINGS = {
    OK: "stopped as told",
    PROBLEMS: "an uncaught fault",
    USAGE: "wrong settings or usage",
    FAULT: "the way itself failed; the process ended un-acked",
    CONFIG: "a new start would end the same way; an operator must act",
}


def meaning(code: int) -> str:
    """Of an exit code; negative: the signal that ended the process."""
    if code >= 0:
        return MEANINGS.get(code, "not a code of ours")
    name = signal.Signals(-code).name
    return f"{name}: killed from outside, or out of memory" if -code == signal.SIGKILL else name


class Backoff:
    """Deaths in a row are answered `first_s`, twice that ... `most_s` later; a life of `settled_s` ends the row."""

    def __init__(self, first_s: float = FIRST_S, most_s: float = MOST_S, settled_s: float = SETTLED_S) -> None:
        self._first_s, self._most_s, self._settled_s = first_s, most_s, settled_s
        self._next_s = first_s

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a life of `lived_s`."""
        if lived_s >= self._settled_s:
            self._next_s = self._first_s
        wait_s, self._next_s = self._next_s, min(self._most_s, self._next_s * 2)
        return wait_s


class Supervisor:
    """Runs `command`, with this process's streams and environment. `run` inside an event loop."""

    def __init__(self, command: list[str], backoff: Backoff, now_s: Callable[[], float] = clock.boot_s) -> None:
        self._command, self._backoff, self._now_s = command, backoff, now_s
        self._child: asyncio.subprocess.Process | None = None
        self._told = asyncio.Event()

    async def run(self) -> int:
        """Until the child ended for good or a signal to end was passed on and heard; the exit code of this process."""
        loop = asyncio.get_running_loop()
        for number in PASSED_ON:
            loop.add_signal_handler(number, self._pass_on, number)
        while True:
            code, lived_s = await self._one_life()
            if self._told.is_set() or code in FINAL:
                log.info("worker.ended", code=code, why=meaning(code), lived_s=round(lived_s, 1))
                return code if code >= 0 else 128 - code
            wait_s = self._backoff.after(lived_s)
            again = {"lived_s": round(lived_s, 1), "again_in_s": wait_s}
            log.warning("worker.ended", code=code, why=meaning(code), **again)
            if await self._told_within(wait_s):
                return OK

    async def _one_life(self) -> tuple[int, float]:
        born_s = self._now_s()
        self._child = await asyncio.create_subprocess_exec(*self._command)
        log.info("worker.started", pid=self._child.pid)
        if self._told.is_set():  # it was told while the child came to life
            self._child.terminate()
        code = await self._child.wait()
        self._child = None
        return code, self._now_s() - born_s

    def _pass_on(self, number: signal.Signals) -> None:
        if number in ENDING:
            self._told.set()
        if self._child is not None and self._child.returncode is None:
            log.info("worker.told", signal=number.name)
            self._child.send_signal(number)

    async def _told_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._told.wait()
        except TimeoutError:
            return False


def supervise(command: list[str], backoff: Backoff | None = None) -> int:
    """Run `command` under a `Supervisor`; returns the exit code of the parent."""

    async def main() -> int:
        return await Supervisor(command, backoff or Backoff()).run()

    return asyncio.run(main())
