"""How a process ends itself. From here nothing is acknowledged, committed or sent; a supervisor starts it again."""

import os
import sys
from typing import NoReturn

import structlog

FAULT = 70  # sysexits EX_SOFTWARE: the way itself failed; a restart re-reads from the last commit
CONFIG = 78  # sysexits EX_CONFIG: a restart would end the same way; an operator must act

_log = structlog.get_logger("app.streams.engine")


def die(why: str, code: int = FAULT) -> NoReturn:
    """End the process at once, un-acknowledged, after one clear line. `why` must hold no personal data."""
    _log.critical("process.ended", why=why, exit_code=code)
    gone(code)


def gone(code: int) -> NoReturn:
    """End the process at once, whatever its threads do; what it said is out."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
