"""Faults of one broker of three: killed, paused, and all restarted one after the other."""

import asyncio
import signal

from ops.chaos.ground import Ground

IN_SYNC_S = 90.0


class _OneBroker:
    """A fault of one of the brokers. It ends when every replica is in sync, so that the next one finds three."""

    lasts_s = 0.0

    def choose(self, ground: Ground) -> None:
        """Which one."""
        self._node = ground.stand.cluster.nodes[ground.rng.choice(sorted(ground.stand.cluster.nodes))]

    async def recover(self, ground: Ground) -> None:
        """Wait for the replicas."""
        if not await ground.stand.cluster.in_sync(IN_SYNC_S):
            ground.problems.append(f"replicas were not in sync within {IN_SYNC_S:g} s")


class OneBrokerKilled(_OneBroker):
    """kill -9 of one broker of three."""

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self.choose(ground)
        self.lasts_s = ground.rng.uniform(1, 15)
        await asyncio.to_thread(self._node.kill)

    async def undo(self, ground: Ground) -> None:
        """Start it."""
        await asyncio.to_thread(self._node.start)
        await self.recover(ground)


class OneBrokerPaused(_OneBroker):
    """SIGSTOP of one broker of three."""

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self.choose(ground)
        self.lasts_s = ground.rng.uniform(2, 20)
        self._node.signal(signal.SIGSTOP)

    async def undo(self, ground: Ground) -> None:
        """Continue."""
        self._node.signal(signal.SIGCONT)
        await self.recover(ground)


class BrokersRolled(_OneBroker):
    """Every broker is stopped in order and started again, the next one when all replicas are in sync."""

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        for node in ground.stand.cluster.nodes.values():
            await asyncio.to_thread(node.stop)
            await asyncio.to_thread(node.start)
            await self.recover(ground)

    async def undo(self, ground: Ground) -> None:
        """All run."""
