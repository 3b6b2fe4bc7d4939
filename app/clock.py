"""The only place that reads a clock or draws chance; everything else is handed a time or an id.

Units: `now_ms` is wall time in ms since the Unix epoch, `boot_s` is seconds of CLOCK_BOOTTIME, which goes on while
the machine sleeps or the process is stopped (SIGSTOP), so that leases and claim times cannot be stretched by a pause.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS = 253_402_300_799_000  # 9999-12-31T23:59:59Z, the last second that `iso` can write


def now_ms() -> int:
    """Wall time, ms since the epoch (UTC)."""
    return time.time_ns() // 1_000_000


def boot_s() -> float:
    """Seconds since boot, suspends included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_ms() -> int:
    """Milliseconds since boot, suspends included: for spans of time, which a step of the wall clock must not change."""
    return int(boot_s() * 1000)


def new_id() -> str:
    """32 hex digits of chance."""
    return os.urandom(16).hex()


@lru_cache(maxsize=1024)
def iso(at_ms: int) -> str:
    """RFC 3339 in UTC with ms: 2026-03-03T10:00:00.000Z. Never raises: what lies before the epoch is written as the
    epoch, what UTC cannot write as `LATEST_MS`. A time may come from a record."""
    at = EPOCH + timedelta(milliseconds=min(max(at_ms, 0), LATEST_MS))
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
