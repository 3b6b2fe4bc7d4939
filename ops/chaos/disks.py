"""Full disks, of a worker and of the broker, for a while (see `small_disk`)."""

import asyncio

from ops.chaos.ground import READY_S, Ground
from ops.chaos.small_disk import WORKER_MB, SmallDisk


class DiskFullWorker:
    """A worker's disk is full for a while; its data directory is on a small disk from the first such fault on."""

    lasts_s = 10.0

    async def do(self, ground: Ground) -> None:
        """Move it there, wait until it works, and fill the disk."""
        stand, self._name = ground.stand, ground.worker()
        if self._name not in stand.disks:
            stand.down.add(self._name)
            await ground.end(self._name)
            ground.diary.note("wiped", part=self._name)
            stand.wipe_data(self._name)
            stand.disks[self._name] = SmallDisk(stand.data_dir(self._name), WORKER_MB)
            stand.down.discard(self._name)
        await asyncio.sleep(0.2)
        await stand.ready(self._name, READY_S)
        ground.diary.note("disk_full", part=self._name)
        await asyncio.to_thread(stand.disks[self._name].fill)

    async def undo(self, ground: Ground) -> None:
        """Make room."""
        ground.stand.disks[self._name].free()


class DiskFullBroker:
    """The broker's disk is full until it gives up; then there is room, and it is started again."""

    lasts_s = 0.0
    GIVES_UP_S = 30.0

    async def do(self, ground: Ground) -> None:
        """Fill it, and wait for the end of the broker."""
        disk, node = ground.stand.disks["broker"], ground.stand.broker
        ground.diary.note("disk_full", part="broker")
        for _ in range(int(self.GIVES_UP_S / 0.2)):
            await asyncio.to_thread(disk.fill)
            await asyncio.sleep(0.2)
            if node.running() is None:
                return
        ground.miss("broker", "the end of its room")

    async def undo(self, ground: Ground) -> None:
        """Make room, and start it unless it lives."""
        ground.stand.disks["broker"].free()
        await asyncio.to_thread(ground.stand.broker.start)
