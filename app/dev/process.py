"""Parts: processes of this project, each told its settings by the environment, each saying one JSON line when ready."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from app.dev.private_files import UMASK, append_to
from app.errors import HeliographError

READY_S, STOP_S = 60.0, 20.0
# Deaths in a row are answered 0.2, 0.4, 0.8 ... 10 s later; a part that lived this long has not died in a row.
FIRST_WAIT_S, LAST_WAIT_S, SETTLED_S = 0.2, 10.0, 60.0


class ProcessError(HeliographError):
    """A part did not become ready, or died; the text says which, why, and where its log is."""


class ChildProcess:
    """One process: `python PROGRAM ARGUMENTS --json`. `ready` is what it said first, all else goes to `log`."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        env: Mapping[str, str],
        log: Path,
        program: tuple[str, ...] = ("-m", "app"),
    ) -> None:
        self.name, self.log = name, log
        self._command = [sys.executable, *program, *arguments, "--json"]
        self._env = dict(env)
        self.process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        self._said = threading.Event()
        self._deaths = 0
        self._born = 0.0
        self._again_at: float | None = None

    def start(self) -> None:
        """Begin; `wait` for its line."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._said, self._born, self._again_at = threading.Event(), time.monotonic(), None
        with append_to(self.log) as errors:
            self.process = subprocess.Popen(  # noqa: S603 - our own words
                self._command,
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                env=self._env,
                cwd=Path(__file__).parents[2],
                start_new_session=True,
                umask=UMASK,
            )
        threading.Thread(target=self._listen, args=(self.process, self._said), daemon=True).start()

    def _listen(self, process: "subprocess.Popen[bytes]", said: threading.Event) -> None:
        """Its first line is kept; what follows goes to the log."""
        assert process.stdout is not None, "its stdout is a pipe"
        with process.stdout as output:
            if line := output.readline():
                self.ready = orjson.loads(line)
                said.set()
            for line in output:
                with append_to(self.log) as log:
                    log.write(line)
        said.set()

    def wait(self) -> dict[str, Any]:
        """Its line, parsed. Raises ProcessError."""
        assert self.process is not None, "start it first"
        if not self._said.wait(READY_S):
            self.kill()
            raise ProcessError(f"{self.name} was not ready within {READY_S:g} s (log: {self.log})")
        if self.ready.get("pid") != self.pid:
            code = self.process.wait()
            raise ProcessError(f"{self.name} ended with exit code {code}: {self.last_line()} (log: {self.log})")
        return self.ready

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None, "start it first"
        return self.process.pid

    def dead(self) -> int | None:
        """Its exit code, None while it runs."""
        return None if self.process is None else self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM without waiting; `stop` waits."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not heard."""
        self.terminate()
        try:
            if self.process is not None:
                self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process by SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def last_line(self) -> str:
        """The last thing it said on stderr."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1][:500] if lines else "it said nothing"

    def revive(self) -> bool:
        """Called often: a dead part is started again after a wait that grows with its deaths; True when it was."""
        if self.dead() is None:
            return False
        now = time.monotonic()
        if self._again_at is None:
            self._deaths = 1 if now - self._born > SETTLED_S else self._deaths + 1
            self._again_at = now + min(LAST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._deaths - 1, 10))
        if now < self._again_at:
            return False
        self.start()
        return True

    def restart(self) -> None:
        """Start a dead part now, and wait until it is ready. Raises ProcessError."""
        self.start()
        self.wait()
