"""Progress of the workers' consumer group, judged from outside by committed offsets and log ends over time.

Pure: a `ProgressTracker` is handed snapshots with their times and returns an `Assessment`. `monitor.py` reads them.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

Partition = tuple[str, int]  # topic, number


class StopCause(StrEnum):
    """Why records of the source topics are not folded."""

    NONE = "none"
    NO_WORKER = "no_worker"
    NO_PROGRESS = "no_progress"
    PARTITIONS_STALLED = "partitions_stalled"


# With one of these no record is folded at all.
STOPPED = (StopCause.NO_WORKER, StopCause.NO_PROGRESS)


@dataclass(frozen=True, slots=True)
class Offsets:
    """Offsets of one partition: `committed` by the group, `stable_end` is the last stable offset (what a read_committed
    consumer may read ends before it), `end` the high watermark. `empty`: between `committed` and `stable_end` are only
    transaction markers and records of aborted transactions, which no consumer gets."""

    committed: int
    stable_end: int
    end: int
    empty: bool = False

    @property
    def lag(self) -> int:
        """Offsets that may be read and are not committed."""
        return 0 if self.empty else max(0, self.stable_end - self.committed)

    @property
    def held_back(self) -> bool:
        """Whether a transaction that is open now keeps records from every read_committed consumer."""
        return self.end > self.stable_end


@dataclass(frozen=True, slots=True)
class GroupSnapshot:
    """The consumer group at one moment: number of members, and the offsets of every source partition."""

    members: int
    offsets: Mapping[Partition, Offsets]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a series of snapshots proves.

    `since_s`: boot clock, seconds, since when `cause` lasts. `stalled`: partitions with a lag and an unmoved committed
    offset for the timeout. `transactions`: partitions whose last stable offset an open transaction has held for the
    timeout. `undecided`: each lag and each open transaction that did not last the timeout yet, with the boot clock's
    seconds since when it stands.
    """

    members: int
    cause: StopCause
    since_s: float
    lag: Mapping[Partition, int]
    stalled: tuple[Partition, ...]
    transactions: tuple[Partition, ...]
    undecided: Mapping[tuple[str, Partition], float]

    @property
    def stopped(self) -> bool:
        """Whether no worker folds anything."""
        return self.cause in STOPPED

    def lag_by_topic(self) -> Counter[str]:
        """Sum over the partitions of each topic."""
        lags: Counter[str] = Counter()
        for (topic, _), lag in self.lag.items():
            lags[topic] += lag
        return lags


@dataclass(frozen=True, slots=True)
class _Track:
    """`unmoved_s`: since when the committed offset stands while there is a lag; `held_s`: since when the last stable
    offset stands while a transaction is open. Boot clock, seconds; inf where that is not so."""

    offsets: Offsets
    unmoved_s: float
    held_s: float


class ProgressTracker:
    """Compares each snapshot with those before. `limit_s`: seconds after which what did not move is stalled.

    `paced`: topics whose records are worked on slowly on purpose, one of them for longer than the limit: a lag of
    theirs is no stall.
    """

    def __init__(self, limit_s: float, paced: Collection[str] = ()) -> None:
        self.limit_s, self._paced = limit_s, paced
        self.forget()

    def forget(self) -> None:
        """Start again: what happened while nothing could be read is not known."""
        self._tracks: dict[Partition, _Track] = {}
        self._seen_s, self._moved_s, self._alone_s = -math.inf, -math.inf, math.inf

    def observe(self, now_s: float, snapshot: GroupSnapshot) -> Assessment:
        """`now_s`: boot clock, seconds, when the snapshot was taken; never less than before.

        Two snapshots further apart than the limit are not compared: the observer itself may have been stopped between.
        """
        if now_s - self._seen_s > self.limit_s:
            self.forget()
        self._seen_s = now_s
        self._alone_s = math.inf if snapshot.members else min(self._alone_s, now_s)
        self._tracks = {place: self._track(now_s, place, offsets) for place, offsets in snapshot.offsets.items()}
        return self._assess(now_s, snapshot)

    def _track(self, now_s: float, place: Partition, offsets: Offsets) -> _Track:
        before = self._tracks.get(place)
        lags = offsets.lag and place[0] not in self._paced
        unmoved_s = now_s if lags else math.inf
        held_s = now_s if offsets.held_back else math.inf
        if before is not None and before.offsets.committed == offsets.committed:
            unmoved_s = min(unmoved_s, before.unmoved_s) if lags else math.inf
        elif before is not None:
            self._moved_s = now_s
        if before is not None and before.offsets.stable_end == offsets.stable_end and offsets.held_back:
            held_s = min(held_s, before.held_s)
        return _Track(offsets, unmoved_s, held_s)

    def _assess(self, now_s: float, snapshot: GroupSnapshot) -> Assessment:
        stalled = tuple(sorted(p for p, t in self._tracks.items() if now_s - t.unmoved_s >= self.limit_s))
        held = tuple(sorted(p for p, t in self._tracks.items() if now_s - t.held_s >= self.limit_s))
        lags = {("lag", p): t.unmoved_s for p, t in self._tracks.items() if p not in stalled}
        transactions = {("transaction", p): t.held_s for p, t in self._tracks.items() if p not in held}
        cause, since_s = self._cause(now_s, stalled)
        return Assessment(
            snapshot.members,
            cause,
            since_s,
            {place: offsets.lag for place, offsets in snapshot.offsets.items()},
            stalled,
            held,
            {what: since_s for what, since_s in (lags | transactions).items() if since_s < math.inf},
        )

    def _cause(self, now_s: float, stalled: tuple[Partition, ...]) -> tuple[StopCause, float]:
        """With the boot clock's seconds since when it lasts."""
        if self._alone_s < math.inf:
            return StopCause.NO_WORKER, self._alone_s
        if not stalled:
            return StopCause.NONE, now_s
        since_s = min(self._tracks[place].unmoved_s for place in stalled)
        if now_s - self._moved_s < self.limit_s:
            return StopCause.PARTITIONS_STALLED, since_s
        return StopCause.NO_PROGRESS, max(since_s, self._moved_s)
