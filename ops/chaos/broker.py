"""The dev broker with further listeners, each advertised as the port of a proxy before it."""

import os
import random
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from app.dev.broker import DevBroker

# Below the range from which the kernel takes ports for outgoing connections: what listens here is killed and must be
# able to listen again.
LOW, HIGH = 20_000, 32_000
# How often the broker looks for transactions that took too long (by default each 10 s), and so few partitions that the
# first transaction need not wait for 50 of them.
TRANSACTIONS = """\
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
transaction.state.log.num.partitions=4"""


class ProxiedBroker(DevBroker):
    """`ways`: name to (port it listens on, port that clients are told)."""

    def __init__(self, port: int, directory: Path, ways: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(port, directory)
        self._ways = dict(ways)

    def _prepare(self, java: str, jars: Path) -> None:
        super()._prepare(java, jars)
        path = self.directory / "server.properties"
        lines = [*map(self._with_ways, path.read_text().splitlines()), TRANSACTIONS]
        path.write_text("\n".join(lines) + "\n")

    def _with_ways(self, line: str) -> str:
        name = line.partition("=")[0]
        if name == "listeners":
            return line + "".join(f",{way}://127.0.0.1:{port}" for way, (port, _) in self._ways.items())
        if name == "advertised.listeners":
            return line + "".join(f",{way}://127.0.0.1:{told}" for way, (_, told) in self._ways.items())
        if name == "listener.security.protocol.map":
            return line + "".join(f",{way}:PLAINTEXT" for way in self._ways)
        return line

    def signal(self, number: signal.Signals) -> None:
        """To the broker's process, which must run."""
        pid = self.running()
        assert pid is not None, "the broker runs"
        os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL; `start` brings it back with what its disk holds."""
        self.signal(signal.SIGKILL)
        pid = self._read_pid()
        assert pid is not None, "it was started"
        os.waitpid(pid, 0)


def quiet_ports(count: int, rng: random.Random) -> list[int]:
    """Ports nobody listens on, out of the kernel's way."""
    found: set[int] = set()
    while len(found) < count:
        port = rng.randrange(LOW, HIGH)
        if _is_free(port):
            found.add(port)
    return sorted(found)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
