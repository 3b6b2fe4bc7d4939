"""Faults of broker, network and Twilio."""

import asyncio
import signal
from collections.abc import Mapping

import orjson
from aiokafka import AIOKafkaProducer

from ops.chaos.cluster import Ways
from ops.chaos.ground import Ground
from ops.chaos.proxy import Proxy
from ops.chaos.stand import PARTITIONS, PREFIX


class BrokerKilled:
    """kill -9 of the broker; it comes back with what its disk holds."""

    def __init__(self) -> None:
        self.lasts_s = 2.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self.lasts_s = ground.rng.uniform(1, 8)
        await asyncio.to_thread(ground.stand.broker.kill)

    async def undo(self, ground: Ground) -> None:
        """Start it."""
        await asyncio.to_thread(ground.stand.broker.start)


class BrokerPaused:
    """SIGSTOP of the broker."""

    def __init__(self) -> None:
        self.lasts_s = 2.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self.lasts_s = ground.rng.uniform(2, 1.5 * ground.deadlines.session)
        ground.stand.broker.signal(signal.SIGSTOP)

    async def undo(self, ground: Ground) -> None:
        """Continue."""
        ground.stand.broker.signal(signal.SIGCONT)


class KafkaAway:
    """Nobody of the product reaches Kafka."""

    lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self.lasts_s = ground.deadlines.away
        for proxy in ground.stand.kafka.values():
            proxy.cut()

    async def undo(self, ground: Ground) -> None:
        """Back."""
        for proxy in ground.stand.kafka.values():
            await proxy.start()


class Line:
    """One process's line to Kafka (`way`: kafka) or Twilio (twilio): delay, cut, reset or hold it for a while."""

    def __init__(self, way: str, how: str) -> None:
        self._way, self._how, self.lasts_s = way, how, 3.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        proxies: Mapping[str, Proxy | Ways] = ground.stand.kafka if self._way == "kafka" else ground.stand.twilio
        names = ["worker-1", "worker-2"] + (["ingress"] if self._way == "kafka" else [])
        self._proxy: Proxy | Ways = proxies[ground.rng.choice(names)]
        self.lasts_s = ground.rng.uniform(2, 1.6 * ground.deadlines.session)
        if self._how == "delay":
            self._proxy.delay_s = ground.rng.uniform(0.1, 0.6)
        elif self._how == "cut":
            self._proxy.cut()
        elif self._how == "reset":
            self._proxy.reset()
            self.lasts_s = 0.0
        else:
            self._proxy.hold()

    async def undo(self, ground: Ground) -> None:
        """Held bytes go on; what was cut listens again."""
        self._proxy.delay_s = 0.0
        self._proxy.free()
        await self._proxy.start()


class Twilio:
    """The simulator misbehaves. `shares`: see `app.simulator.config.Faults`."""

    def __init__(self, **shares: float) -> None:
        self._shares, self.lasts_s = shares, 6.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        await ground.faults(**self._shares)

    async def undo(self, ground: Ground) -> None:
        """It behaves again."""
        await ground.faults()


class Poison:
    """Records on topic contacts that cannot be read."""

    lasts_s = 0.0
    VALUES = (b"\xff\xfe", b"{", b"[]", b'{"type":"contact.unknown.v1"}', b'{"type":"contact.due.v1"}', b"")

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        servers = ground.stand.servers
        async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
            for value in self.VALUES:
                key, partition = orjson.dumps(ground.rng.randrange(100)), ground.rng.randrange(PARTITIONS)
                kept = await producer.send_and_wait(f"{PREFIX}contacts", value, key=key, partition=partition)
                ground.diary.note("poisoned", partition=partition, offset=kept.offset)

    async def undo(self, ground: Ground) -> None:
        """It stays on the log."""


class SlowAnswers:
    """A worker's line to Kafka is cut while Twilio's answers are on their way."""

    lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self.lasts_s = 0.7 * ground.deadlines.session
        await ground.faults(slow_ms=1600)
        await asyncio.sleep(3)
        self._proxies = [ground.stand.kafka[name] for name in ("worker-1", "worker-2")]
        for proxy in self._proxies:
            proxy.cut()

    async def undo(self, ground: Ground) -> None:
        """Both as ever."""
        await ground.faults()
        for proxy in self._proxies:
            await proxy.start()
