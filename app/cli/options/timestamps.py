"""A moment on the command line: a date with its offset, or how long ago."""

import re
from datetime import datetime

import click

from app import clock

UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO = re.compile(r"(\d{1,9})([smhd])")


def moment(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """A click callback: ms since the epoch. Raises click.BadParameter."""
    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        return max(0, clock.now_ms() - int(ago[1]) * UNITS_MS[ago[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("must be RFC 3339 (2026-03-03T10:00:00Z) or 30s, 15m, 2h, 7d") from None
    if at.tzinfo is None:
        raise click.BadParameter("needs an offset, such as Z or +01:00")
    return int(at.timestamp() * 1000)
