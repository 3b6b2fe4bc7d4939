"""Exit codes of the commands, and how a command ends with one of them."""

import sys
from typing import NoReturn

from app.cli.output import say

OK, PROBLEMS, USAGE = 0, 1, 2
FAULT, CONFIG = 70, 78  # of long-running processes: see app.streams.engine.process_exit


def give_up(*faults: str, code: int = USAGE) -> NoReturn:
    """Say what is wrong, and exit."""
    for fault in faults:
        say(f"error: {fault}", err=True)
    sys.exit(code)
