"""`heliograph replay --verify`, as a command: whether folding the log again gives the rows."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

LONGEST_S = 300.0
EQUAL = {0: True, 1: False}


async def replay_equal(env: Mapping[str, str], log: Path) -> bool | None:
    """True or False as the command says, None if it could not say; its own words go to `log`."""
    command = [sys.executable, "-m", "app", "replay", "--verify"]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, env=dict(env), stdout=output, stderr=output)
        try:
            code = await asyncio.wait_for(process.wait(), LONGEST_S)
        except TimeoutError:
            process.kill()
            return None
    return EQUAL.get(code)
