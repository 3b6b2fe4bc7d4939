"""The dev broker from a container: service `kafka` of docker-compose.yml, only where a Docker engine answers.

`dev_broker` chooses: an engine that brings the container up, otherwise the jars (`app.dev.broker`), which need Java and
Maven. An address given in KAFKA_BOOTSTRAP_SERVERS goes before both; callers look at that first.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

from app.dev.broker import BrokerError, DevBroker

FILE = Path(__file__).parents[2] / "docker-compose.yml"
ENGINE_S, PULL_S = 10.0, 300.0


class BrokerControl(Protocol):
    """What every dev broker can do."""

    def start(self) -> str:
        """Start, or find it running; its address. Raises BrokerError."""

    def stop(self) -> bool:
        """Stop it if it runs; True if it did."""

    def wipe(self) -> None:
        """Remove all it kept."""


class ComposeBroker:
    """Service `kafka`, published on 127.0.0.1:`port`, in a compose project of its own."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._project = f"heliograph-dev-{port}"
        self._env = {**os.environ, "HELIOGRAPH_KAFKA_PORT": str(port)}

    def start(self) -> str:
        """Pulls the image once; idempotent. Raises BrokerError."""
        done = self._compose("up", "--detach", "--wait", "kafka")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BrokerError(f"docker compose could not start Kafka: {last[:300]}")
        return self.address

    def stop(self) -> bool:
        """True if its container ran."""
        ran = self.running()
        if ran:
            self._compose("stop", "kafka")
        return ran

    def running(self) -> bool:
        """Whether its container is up."""
        return bool(self._compose("ps", "--quiet", "kafka").stdout.strip())

    def wipe(self) -> None:
        """Its container, network and volume."""
        self._compose("down", "--volumes")

    def _compose(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["docker", "compose", "--project-name", self._project, "--file", str(FILE), *arguments]
        try:
            return subprocess.run(  # noqa: S603 - our own words
                command, env=self._env, capture_output=True, text=True, check=False, timeout=PULL_S
            )
        except subprocess.TimeoutExpired:
            raise BrokerError(f"docker compose {arguments[0]} did not end within {PULL_S:.0f} s") from None


class SelectedBroker:
    """The container, or the jars where it cannot be had; `why` says what went wrong with the container."""

    def __init__(self, container: ComposeBroker, jars: DevBroker) -> None:
        self._container, self._jars = container, jars
        self._chosen: BrokerControl = container
        self.why = ""

    def start(self) -> str:
        try:
            return self._container.start()
        except BrokerError as fault:
            self.why, self._chosen = str(fault), self._jars
            return self._jars.start()

    def stop(self) -> bool:
        return self._chosen.stop()

    def wipe(self) -> None:
        self._chosen.wipe()


def engine_answers() -> bool:
    """Whether both a Docker engine and its compose plugin answer here."""
    if shutil.which("docker") is None:
        return False
    try:
        return all(_succeeds("docker", word, *more) for word, *more in (("info",), ("compose", "version")))
    except subprocess.TimeoutExpired:
        return False


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=ENGINE_S).returncode == 0  # noqa: S603


def dev_broker(port: int, directory: Path) -> BrokerControl:
    """The broker to use on this machine. One that runs from `directory` already is kept."""
    jars = DevBroker(port, directory)
    if jars.running() is not None or not engine_answers():
        return jars
    return SelectedBroker(ComposeBroker(port), jars)
