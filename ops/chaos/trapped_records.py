"""Records that a worker cannot fold, by a trap in the harness's own worker (see `worker`): one crashes it, one makes an
output that Kafka refuses. Each must be set aside and its contact frozen; others must not notice.

When the trap is gone the dead letter is retried, and both messages of the contact are texted.
"""

import asyncio
import sys
import time
from typing import Any

from ops.chaos.evidence import read_topic, topic_name
from ops.chaos.ground import Ground
from ops.chaos.poison_producer import Poison, PoisonProducer, Requests
from ops.chaos.stand import PREFIX
from ops.chaos.worker import CRASH, REFUSED_OUTPUT

# Long enough to be set aside (three starts, and as many sessions) and retried; a message of a frozen contact waits.
EXPIRES_S, SET_ASIDE_S, LOOK_S = 120.0, 90.0, 0.5


class TrappedRecord:
    """See the module. `kind`: of the fault; `trap`: its name, which is the mark as well."""

    def __init__(self, kind: str, trap: str) -> None:
        self._kind, self._trap, self.lasts_s = kind, trap, 1.0

    async def do(self, ground: Ground) -> None:
        """Arm the trap, produce a marked request, then one to the same contact; wait for the dead letter."""
        self._known = set(await self._letters(ground))
        (ground.stand.traps / self._trap).touch()
        event = Requests(ground, self._trap, EXPIRES_S).event()
        self._key = event["idempotency_key"]
        await PoisonProducer(ground, self._kind).produce(self._poisons(ground, event))
        end = time.monotonic() + SET_ASIDE_S
        while not await self._set_aside(ground):
            if time.monotonic() > end:
                ground.problems.append(f"{self._kind}: not set aside within {SET_ASIDE_S:g} s")
                return
            await asyncio.sleep(LOOK_S)
        ground.diary.note("frozen", key=self._key)

    def _poisons(self, ground: Ground, event: dict[str, Any]) -> list[Poison]:
        """The marked request, and on the same partition one without the mark to the same contact."""
        after, record_key = Requests(ground, f"after-{self._trap}", EXPIRES_S), self._key.encode()
        events = (event, after.event(to=event["to"]))
        return [after.record(one, record_key=record_key) for one in events]

    async def undo(self, ground: Ground) -> None:
        """Take the trap away and retry what was set aside."""
        (ground.stand.traps / self._trap).unlink()
        letters = await self._set_aside(ground)
        ground.diary.note("thawing", key=self._key)
        if letters:
            await self._retry(ground, letters)

    async def _letters(self, ground: Ground) -> dict[str, str]:
        """Rule of each dead letter by its id."""
        topic = topic_name("deadletters", PREFIX, "")
        records = await read_topic(topic, ground.stand.servers)
        return {f"{r.partition}-{r.offset}": str((r.value or {}).get("rule", "")) for r in records}

    async def _set_aside(self, ground: Ground) -> list[str]:
        """Ids of the new letters of records that were set aside."""
        letters = await self._letters(ground)
        return [one for one, rule in letters.items() if one not in self._known and rule.startswith("set aside: ")]

    async def _retry(self, ground: Ground, letters: list[str]) -> None:
        command = (sys.executable, "-m", "app", "deadletters", "retry", *letters, "--yes", "--by", "chaos")
        process = await asyncio.create_subprocess_exec(
            *command,
            env=ground.stand.environment(""),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        if process.returncode:
            ground.problems.append(f"deadletters retry ended with {process.returncode}: {said.decode()[-300:]}")


def deadly() -> TrappedRecord:
    """A record that crashes the worker that decodes it."""
    return TrappedRecord("poison_deadly", CRASH)


def refused_output() -> TrappedRecord:
    """A record whose fold makes an output that Kafka refuses."""
    return TrappedRecord("poison_refused_output", REFUSED_OUTPUT)
