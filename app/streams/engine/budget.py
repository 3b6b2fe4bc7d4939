"""How much one cycle may do before its work is made durable and others get their turn.

Bounds by records alone let a few records that make much (a request of a thousand recipients, rows of a megabyte) hold
the event loop for half a minute, and memory with it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app import clock


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one cycle. `chunk`: records whose rows are read together; `breath_s`: the longest that the loop is held."""

    records: int = 2000
    outputs: int = 10_000
    bytes: int = 8 << 20
    seconds: float = 0.25
    chunk: int = 128
    breath_s: float = 0.01


class Budget:
    """What one cycle has used. `now`: boot s."""

    def __init__(self, limits: Limits, now: Callable[[], float] = clock.boot_s) -> None:
        self._limits, self._now = limits, now
        self._began_s = self._breathed_s = now()
        self._records = self._bytes = 0

    def folded(self, size: int) -> None:
        """A record of `size` bytes was folded."""
        self._records += 1
        self._bytes += size

    def spent(self, outputs: int, size: int) -> bool:
        """Whether the cycle ends here. `outputs`: how many it has made; `size`: bytes of rows and outputs it holds."""
        limits = self._limits
        return (
            self._records >= limits.records
            or outputs >= limits.outputs
            or self._bytes + size >= limits.bytes
            or self._now() - self._began_s >= limits.seconds
        )

    def breath_due(self) -> bool:
        """Whether the loop was held long enough; the next one counts from here if so."""
        now = self._now()
        if now - self._breathed_s < self._limits.breath_s:
            return False
        self._breathed_s = now
        return True

    def waited(self, seconds: float) -> None:
        """Time that was not used: the cycle waited for others, or for its pace."""
        self._began_s += seconds
