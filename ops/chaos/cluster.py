"""The brokers of a run, one or three, and the ways that each part of the product takes to them."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.chaos.broker import ProxiedBroker
from ops.chaos.proxy import Proxy

ANSWER_S, LOOK_S, TIMES = 5.0, 0.5, 4


class Ways:
    """The proxies of one part, one before each broker; they misbehave together (see `Proxy`)."""

    def __init__(self, proxies: Sequence[Proxy]) -> None:
        self._proxies = tuple(proxies)

    @property
    def servers(self) -> str:
        """Bootstrap servers by this way."""
        return ",".join(f"127.0.0.1:{proxy.port}" for proxy in self._proxies)

    @property
    def delay_s(self) -> float:
        """How long every chunk waits."""
        return self._proxies[0].delay_s

    @delay_s.setter
    def delay_s(self, seconds: float) -> None:
        for proxy in self._proxies:
            proxy.delay_s = seconds

    async def start(self) -> None:
        """Listen. Raises OSError."""
        for proxy in self._proxies:
            await proxy.start()

    async def stop(self) -> None:
        """Close everything."""
        for proxy in self._proxies:
            await proxy.stop()

    def cut(self) -> None:
        """Refuse new connections, close the open ones."""
        for proxy in self._proxies:
            proxy.cut()

    def reset(self) -> None:
        """RST to both ends of every open connection."""
        for proxy in self._proxies:
            proxy.reset()

    def hold(self) -> None:
        """Nothing passes any more."""
        for proxy in self._proxies:
            proxy.hold()

    def free(self) -> None:
        """Undo `hold`."""
        for proxy in self._proxies:
            proxy.free()


class Cluster:
    """Brokers, each a controller too. Raises BrokerError.

    Args:
        count: how many.
        directory: of the run.
        names: name of a listener by the part of the product that it is for.
        ports: free ones.
    """

    def __init__(self, count: int, directory: Path, names: Mapping[str, str], ports: Iterator[int]) -> None:
        controllers = {node: next(ports) for node in range(1, count + 1)}
        proxies: dict[str, list[Proxy]] = {name: [] for name in names}
        self.nodes: dict[int, ProxiedBroker] = {}
        for node in controllers:
            both = {name: (next(ports), next(ports)) for name in names}
            for name, (port, told) in both.items():
                proxies[name].append(Proxy(told, port))
            ways = {names[name]: pair for name, pair in both.items()}
            home = directory / ("kafka" if node == 1 else f"kafka-{node}")
            self.nodes[node] = ProxiedBroker(next(ports), home, ways, controllers, node)
        self.ways = {name: Ways(found) for name, found in proxies.items()}

    @property
    def servers(self) -> str:
        """Bootstrap servers, the straight way."""
        return ",".join(node.address for node in self.nodes.values())

    async def start(self) -> None:
        """All at once: one of three does not answer before a second is there."""
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in self.nodes.values()))

    async def stop(self) -> None:
        """All at once."""
        await asyncio.gather(*(asyncio.to_thread(node.stop) for node in self.nodes.values()))

    async def in_sync(self, seconds: float) -> bool:
        """Whether every replica of every partition is in sync, in time, and stays so for a while.

        A broker that was killed and is back is out of sync only when it has registered again.
        """
        admin, seen, end = (
            AdminClient({"bootstrap.servers": self.servers, "log_level": 0}),
            0,
            time.monotonic() + seconds,
        )
        while time.monotonic() < end and seen < TIMES:
            await asyncio.sleep(LOOK_S)
            try:
                topics = (await asyncio.to_thread(admin.list_topics, timeout=ANSWER_S)).topics.values()
            except KafkaException:
                continue  # the one that was asked is away
            found = [partition for topic in topics for partition in topic.partitions.values()]
            whole = bool(found) and all(len(partition.isrs) == len(self.nodes) for partition in found)
            seen = seen + 1 if whole else 0
        return seen >= TIMES
