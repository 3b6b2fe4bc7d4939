"""What the partitions of a process share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from app.streams.engine.budget import Limits
from app.streams.engine.crash_marker import CrashMarker
from app.streams.engine.poison_guard import PoisonGuard
from app.streams.engine.producer import LeasedProducer


async def nothing() -> None:
    """Where there are no other partitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessContext:
    """What the partitions of a process share. `pressure`: slices that wait over all of them; `progressed` is told of
    all that becomes durable; `set_aside` counts by topic; `commit_others` commits what is done before a suspect record
    is folded, as it may be the last that this process does."""

    producer: LeasedProducer
    marker: CrashMarker
    guard: PoisonGuard
    pressure: Callable[[], int] = lambda: 0
    progressed: Callable[[], None] = lambda: None
    set_aside: Callable[[str], None] = lambda topic: None
    commit_others: Callable[[], Awaitable[None]] = nothing
    limits: Limits = field(default_factory=Limits)
    unsafe: frozenset[str] = frozenset()
