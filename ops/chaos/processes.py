"""Faults of processes: killed, paused, told to end, joined, restarted, robbed of their disk."""

import asyncio
import signal

from ops.chaos.ground import READY_S, Ground

ARMED_S = 25.0


class Kill:
    """kill -9 of a worker, or of the ingress, at any moment."""

    lasts_s = 0.0

    def __init__(self, part: str = "") -> None:
        self._part = part

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        name = self._part or ground.worker()
        await asyncio.sleep(ground.rng.uniform(0, 1))
        ground.stand.parts[name].signal(signal.SIGKILL)

    async def undo(self, ground: Ground) -> None:
        """The supervisor brings it back."""


class DieAt:
    """A worker that ends, or is paused, the moment it reaches a named point; `wiped`: started on an empty disk."""

    def __init__(self, point: str, most: int, *, word: str = "", wiped: bool = False) -> None:
        self._point, self._most, self._word, self._wiped = point, most, word, wiped
        self.lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """Its next life is armed; returns when it has died, or when it does not reach the point in time."""
        self._name, stand = ground.worker(), ground.stand
        count = ground.rng.randint(1, self._most)
        stand.down.add(self._name)
        part = stand.parts[self._name]
        await ground.end(self._name)
        if self._wiped:
            ground.diary.note("wiped", part=self._name)
            stand.wipe_data(self._name)
        # The supervisor disarms a part when it notes its death: let it note this one first.
        await asyncio.sleep(0.2)
        part.arm(":".join((self._point, str(count), *([self._word] if self._word else []))))
        part.start()
        stand.down.discard(self._name)
        await self._struck(ground)

    async def _struck(self, ground: Ground) -> None:
        if not await ground.dead(self._name, ARMED_S):
            ground.miss(self._name, self._point)

    async def undo(self, ground: Ground) -> None:
        """The supervisor brings it back."""


class DieUnheard(DieAt):
    """A worker dies during a call, and Twilio's reports come late: nothing tells its heir that the text was taken."""

    def __init__(self) -> None:
        super().__init__("during_call", 12)

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        await ground.faults(late=1.0, late_ms=8000)
        await super().do(ground)
        self.lasts_s = 5.0  # until the heir has read all that was not committed

    async def undo(self, ground: Ground) -> None:
        """Reports come in time again."""
        await ground.faults()


class PauseAt(DieAt):
    """Paused at a named point for longer than the session, then continued."""

    def __init__(self, point: str, most: int) -> None:
        super().__init__(point, most, word="STOP")

    async def _struck(self, ground: Ground) -> None:
        part = ground.stand.parts[self._name]
        self.lasts_s = 1.6 * ground.deadlines.session
        for _ in range(int(ARMED_S / 0.1)):
            if part.dead() is not None or stopped(part.pid):
                return
            await asyncio.sleep(0.1)
        ground.miss(self._name, self._point)
        self.lasts_s = 0.0

    async def undo(self, ground: Ground) -> None:
        """Continue."""
        part = ground.stand.parts[self._name]
        part.arm("")
        if part.dead() is None:
            ground.diary.note("paused", part=self._name, since_ms=int(self.lasts_s * 1000) + 1000)
            part.signal(signal.SIGCONT)


class Pause:
    """SIGSTOP beyond the session timeout, then SIGCONT."""

    lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self._name, self.lasts_s = ground.worker(), 1.6 * ground.deadlines.session
        self._pid = ground.stand.parts[self._name].pid
        ground.stand.parts[self._name].signal(signal.SIGSTOP)

    async def undo(self, ground: Ground) -> None:
        """Continue, unless it ended meanwhile."""
        part = ground.stand.parts[self._name]
        ground.diary.note("paused", part=self._name, since_ms=int(self.lasts_s * 1000))
        if part.dead() is None and part.pid == self._pid:
            part.signal(signal.SIGCONT)


class Terminate:
    """SIGTERM to a worker."""

    lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        await ground.end(ground.worker())

    async def undo(self, ground: Ground) -> None:
        """The supervisor brings it back."""


class Third:
    """A third worker joins, works a while, and leaves."""

    lasts_s = 8.0

    async def do(self, ground: Ground) -> None:
        """Join."""
        ground.stand.add_worker("worker-3")
        await ground.stand.ready("worker-3", READY_S)

    async def undo(self, ground: Ground) -> None:
        """Leave."""
        await ground.leave("worker-3")


class DiskLost:
    """A worker dies, and its data directory is gone before it is back."""

    lasts_s = 1.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self._name, stand = ground.worker(), ground.stand
        stand.down.add(self._name)
        stand.parts[self._name].signal(signal.SIGKILL)
        await ground.dead(self._name, READY_S)
        # What it had in its journal is lost with the disk.
        ground.diary.note("wiped", part=self._name, since_ms=3000)
        stand.wipe_data(self._name)

    async def undo(self, ground: Ground) -> None:
        """It may come back."""
        ground.stand.down.discard(self._name)


class KillSlow:
    """kill -9 of a worker whose line to Kafka is slow; what was on its way is lost."""

    lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self._name = ground.worker()
        proxy = ground.stand.kafka[self._name]
        proxy.delay_s = 0.4
        await asyncio.sleep(ground.rng.uniform(3, 4))
        ground.stand.parts[self._name].signal(signal.SIGKILL)
        proxy.cut()
        proxy.delay_s = 0.0

    async def undo(self, ground: Ground) -> None:
        """The line is back."""
        await ground.stand.kafka[self._name].start()


class DiskLostDuringCall(DieAt):
    """A worker with a slow line to Kafka dies during a call, what was on its way is lost, and so is its disk."""

    def __init__(self) -> None:
        super().__init__("during_call", 6)

    async def _struck(self, ground: Ground) -> None:
        stand, proxy = ground.stand, ground.stand.kafka[self._name]
        await stand.ready(self._name, READY_S)
        proxy.delay_s = 0.4
        stand.down.add(self._name)
        await super()._struck(ground)
        proxy.cut()
        proxy.delay_s = 0.0
        if stand.parts[self._name].dead() is not None:
            ground.diary.note("wiped", part=self._name, since_ms=3000)
            stand.wipe_data(self._name)
        await proxy.start()
        stand.down.discard(self._name)


def stopped(pid: int) -> bool:
    """Whether a process is paused."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
