"""`heliograph replay --verify`, as a command: whether folding the log again gives the rows."""

import asyncio
import sys
from collections.abc import Mapping

from app.cli import COMMANDS

LONGEST_S = 300.0


async def replay_equal(env: Mapping[str, str]) -> bool | None:
    """True or False as the command says; None if it could not say."""
    if "replay" not in COMMANDS:
        return None
    command = [sys.executable, "-m", "app", "replay", "--verify"]
    process = await asyncio.create_subprocess_exec(*command, env=dict(env))
    try:
        code = await asyncio.wait_for(process.wait(), LONGEST_S)
    except TimeoutError:
        process.kill()
        return None
    return {0: True, 1: False}.get(code)
