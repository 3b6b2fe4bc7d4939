"""What a fault may lay hands on."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from ops.chaos.deadlines import Deadlines
from ops.chaos.diary import Diary
from ops.chaos.stand import Stand

# So long supervisors wait by custom before they kill.
END_S = 30.0
READY_S = 60.0
# Last words that are none of a part that was told to end.
DISORDERLY = ('"why":"cycle ', '"why":"the stop ', '"event":"process.crashed"')


@dataclass
class Ground:
    """The stand, chance, the diary. `missed`: the fault at hand did nothing, for its point was not reached in time;
    `problems`: what went wrong with no message, and fails the run all the same; `poisoned_people`: how many numbers
    poison was addressed to."""

    stand: Stand
    rng: random.Random
    diary: Diary
    deadlines: Deadlines
    missed: bool = False
    poisoned_people: int = 0
    problems: list[str] = field(default_factory=list)

    def miss(self, part: str, point: str) -> None:
        """A part did not come to its named point."""
        self.missed = True
        self.diary.note("not_reached", part=part, point=point)

    def worker(self) -> str:
        """One of the two that are always there."""
        return self.rng.choice(("worker-1", "worker-2"))

    async def faults(self, **shares: Any) -> None:
        """Set the simulator's faults; none named: none."""
        url = f"http://127.0.0.1:{self.stand.simulator_port}/_sim/faults"
        async with aiohttp.ClientSession() as http, http.post(url, json=shares) as answer:
            answer.raise_for_status()

    async def dead(self, name: str, seconds: float) -> bool:
        """Whether the part's present life ends in time."""
        process = self.stand.parts[name].process
        assert process is not None, "it was started"
        for _ in range(int(seconds / 0.05)):
            if process.poll() is not None:
                return True
            await asyncio.sleep(0.05)
        return False

    async def end(self, name: str) -> None:
        """SIGTERM; a part that does not end then is a problem, and killed."""
        part = self.stand.parts[name]
        part.terminate()
        if await self.dead(name, END_S):
            if any(word in part.last_line() for word in DISORDERLY) and part.dead():
                self.problems.append(f"{name} did not end in order: {part.last_line()}")
        else:
            self.problems.append(f"{name} did not end within {END_S:g} s of SIGTERM")
            await asyncio.to_thread(part.kill)

    async def leave(self, name: str) -> None:
        """End a part for good."""
        self.stand.down.add(name)
        await self.end(name)
        # The supervisor notes its death.
        await asyncio.sleep(0.2)
        del self.stand.parts[name]
        self.stand.down.discard(name)

    async def restart(self, name: str) -> None:
        """End a part, and wait until its next life is ready."""
        pid = self.stand.parts[name].pid
        await self.end(name)
        while self.stand.parts[name].pid == pid:
            await asyncio.sleep(0.05)
        if not await self.stand.ready(name, READY_S):
            self.problems.append(f"{name} was not ready within {READY_S:g} s of its restart")


class Fault(Protocol):
    """Something that goes wrong, and its end. `lasts_s` lies between the two."""

    lasts_s: float

    async def do(self, ground: Ground) -> None:
        """Make it go wrong."""
        ...

    async def undo(self, ground: Ground) -> None:
        """Nothing is wrong any more from our side; the product may still have to recover."""
        ...
