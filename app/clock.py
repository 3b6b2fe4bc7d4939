"""The only place that reads a clock or draws chance; everything else is handed a time or an id.

Units: `now_ms` is wall time in ms since the Unix epoch, `boot_s` is seconds of CLOCK_BOOTTIME, which goes on while
the machine sleeps or the process is stopped (SIGSTOP), so that leases and claim times cannot be stretched by a pause.
"""

import os
import time
from datetime import UTC, datetime
from functools import lru_cache

# 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the first and the last second that `iso` can write.
EARLIEST_MS, LATEST_MS = -62_135_596_800_000, 253_402_300_799_000


def now_ms() -> int:
    """Wall time, ms since the epoch (UTC)."""
    return time.time_ns() // 1_000_000


def boot_s() -> float:
    """Seconds since boot, suspends included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def new_id() -> str:
    """32 hex digits of chance."""
    return os.urandom(16).hex()


@lru_cache(maxsize=1024)
def iso(at_ms: int) -> str:
    """RFC 3339 in UTC with ms: 2026-03-03T10:00:00.000Z. A time that cannot be written is the nearest that can: clocks
    of other machines stamp records, and none of them may make a fold raise."""
    at_s = min(max(at_ms, EARLIEST_MS), LATEST_MS) / 1000
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
