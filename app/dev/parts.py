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

READY_S, STOP_S = 60.0, 20.0


class PartFault(Exception):
    """A part did not become ready, or died; the text says which, why, and where its log is."""


class Part:
    """One process: `python -m app ARGUMENTS --json`. Its stderr goes to `log`."""

    def __init__(self, name: str, arguments: list[str], env: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self._command = [sys.executable, "-m", "app", *arguments, "--json"]
        self._env = dict(env)
        self.process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        self.starts = 0

    def start(self) -> None:
        """Begin; `wait` for its line."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(  # noqa: S603 - our own words
                self._command,
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                env=self._env,
                cwd=Path(__file__).parents[2],
                start_new_session=True,
            )

    def wait(self) -> dict[str, Any]:
        """Its line, parsed. Raises PartFault."""
        assert self.process is not None and self.process.stdout is not None, "start it first"
        stuck = threading.Timer(READY_S, self.process.kill)
        stuck.start()
        line = self.process.stdout.readline()
        stuck.cancel()
        if not line:
            code = self.process.wait()
            raise PartFault(f"{self.name} ended with exit code {code}: {self.last_line()} (log: {self.log})")
        self.ready = orjson.loads(line)
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
        """Send a signal."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not heard."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def last_line(self) -> str:
        """The last thing it said on stderr."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1][:500] if lines else "it said nothing"

    def restart(self) -> None:
        """Start again after a death, with a wait that grows with the deaths."""
        time.sleep(min(0.2 * 2 ** min(self.starts, 6), 10.0))
        self.start()
        self.wait()
