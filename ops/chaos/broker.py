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
# How often the broker looks for transactions that took too long (by default each 10 s) and for what to compact (15 s),
# and so few partitions that the first transaction need not wait for 50 of them.
PATIENCE = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "transaction.state.log.num.partitions": "4",
    "log.cleaner.backoff.ms": "500",
}
NAMES = ("PLAINTEXT", "CONTROLLER")


class ProxiedBroker(DevBroker):
    """`ways`: name to (port it listens on, port that clients are told). `controllers`: port of each node's controller,
    by its number; one for a broker that stands alone. `node`: its own number."""

    def __init__(
        self,
        port: int,
        directory: Path,
        ways: Mapping[str, tuple[int, int]],
        controllers: Mapping[int, int],
        node: int = 1,
    ) -> None:
        super().__init__(port, directory)
        self._ways, self._controllers, self._node = dict(ways), dict(controllers), node

    def _properties(self, data: Path) -> str:
        own = dict(line.split("=", 1) for line in super()._properties(data).splitlines() if "=" in line)
        ways = self._ways.items()
        listeners = [f"PLAINTEXT://127.0.0.1:{self.port}", f"CONTROLLER://127.0.0.1:{self._controllers[self._node]}"]
        told = [f"PLAINTEXT://127.0.0.1:{self.port}", *(f"{way}://127.0.0.1:{port}" for way, (_, port) in ways)]
        own |= {
            "node.id": str(self._node),
            "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{port}" for n, port in self._controllers.items()),
            "listeners": ",".join([*listeners, *(f"{way}://127.0.0.1:{port}" for way, (port, _) in ways)]),
            "advertised.listeners": ",".join(told),
            "listener.security.protocol.map": ",".join(f"{way}:PLAINTEXT" for way in (*NAMES, *self._ways)),
        }
        if len(self._controllers) > 1:
            own |= {name: str(len(self._controllers)) for name in own if name.endswith(".replication.factor")}
            own |= {name: "2" for name in own if name.endswith(".min.isr")}
        return "".join(f"{name}={value}\n" for name, value in (own | PATIENCE).items())

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
