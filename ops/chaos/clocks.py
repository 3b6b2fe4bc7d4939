"""The wall clock of a worker steps, forwards and back.

Not by libfaketime: with it `time.sleep` of Python 3.11 fails after a step (clock_nanosleep, EINVAL). The harness's own
worker reads its wall clock through a file that holds how far it is off (see `worker`); monotonic clocks go on as ever.
"""

import asyncio
import struct

from ops.chaos.ground import Ground

# Less than requests have until they expire: a worker whose clock is further off may rightly call them late.
STEPS_S, BETWEEN_S = (-15.0, -3.0, 3.0, 15.0), 3.0


class ClockStep:
    """A worker's clock steps three times, the last time to where it was."""

    lasts_s = BETWEEN_S

    async def do(self, ground: Ground) -> None:
        """Two steps."""
        self._name = ground.worker()
        for seconds in ground.rng.sample(STEPS_S, 2):
            self._step(ground, seconds)
            await asyncio.sleep(BETWEEN_S)

    async def undo(self, ground: Ground) -> None:
        """Back."""
        self._step(ground, 0.0)

    def _step(self, ground: Ground, seconds: float) -> None:
        """`seconds`: how far it is off from now on."""
        ground.diary.note("clock_stepped", part=self._name, off_ms=int(1000 * seconds))
        with ground.stand.clock_file(self._name).open("r+b") as file:
            file.write(struct.pack("<q", int(seconds * 1e9)))
