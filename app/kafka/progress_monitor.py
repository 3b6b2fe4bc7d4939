"""Whether the workers make progress, watched from any process: the ingress, a worker, a command."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Protocol

from app import clock, telemetry
from app.config.settings import Settings
from app.kafka.client import client_settings
from app.kafka.group_progress import Assessment, GroupSnapshot, Offsets, Partition, ProgressTracker, StopCause
from app.kafka.group_reader import UNREACHABLE, GroupReader
from app.records.topics import Topics

_log = telemetry.logger(__name__)

# Ten reads per stall timeout, but none more often than needed: four small requests to Kafka each.
READS_PER_TIMEOUT, LONGEST_INTERVAL_S = 10, 3.0
NAMED = 3


class SnapshotReader(Protocol):
    """What a monitor needs of `GroupReader`."""

    async def read(self) -> GroupSnapshot:
        """The group and its source partitions now."""

    async def holds_records(self, place: Partition, start: int, end: int) -> bool:
        """Whether a consumer gets a record from `start` to before `end`."""

    async def close(self) -> None:
        """Close the connections to Kafka."""


class WorkerMonitor:
    """Reads the workers' consumer group at intervals and keeps the last assessment.

    `stall_timeout_s`: a stop is found within this time. `assessment`: None while nothing is known, before the
    first read and while Kafka cannot be read. `problem`: what is wrong with the workers, in words, also that it is not
    known; "" if nothing is. `stopped`: the same, while no record at all is folded. `paced`: see `ProgressTracker`.
    """

    def __init__(self, reader: SnapshotReader, stall_timeout_s: float, paced: Collection[str] = ()) -> None:
        self.interval_s = min(LONGEST_INTERVAL_S, stall_timeout_s / READS_PER_TIMEOUT)
        self.limit_s = stall_timeout_s - 2 * self.interval_s
        self._tracker, self._reader = ProgressTracker(self.limit_s, paced), reader
        self._empty: dict[Partition, Offsets] = {}
        self._found: dict[Partition, int] = {}
        self._task: asyncio.Task[None] | None = None
        self.assessment: Assessment | None = None
        self.stopped = self.problem = ""

    @classmethod
    def of(cls, settings: Settings, tenants: Iterable[str]) -> "WorkerMonitor":
        """Of the workers that these settings name; `tenants`: whose request topics they read."""
        topics = Topics(settings.topic_prefix, settings.group, tenants)
        timeout_s = max(1.0, settings.stall_timeout_s / 2)
        reader = GroupReader(client_settings(settings), settings.group, topics.sources, timeout_s)
        return cls(reader, settings.stall_timeout_s, paced=(topics.bulk,))

    async def look(self) -> Assessment:
        """Read once and assess. Raises one of `UNREACHABLE`: then nothing is known; the next call connects again."""
        try:
            assessment = await self._confirmed(await self._reader.read())
        except Exception as error:
            self._lose(error)
            await self._reader.close()
            raise
        self.assessment, self.problem = assessment, describe(assessment)
        self.stopped = self.problem if assessment.stopped else ""
        return assessment

    async def close(self) -> None:
        """Close the connections to Kafka."""
        await self._reader.close()

    def start(self, *, logged: bool = True) -> None:
        """Observe in the background; `logged`: the log says when the workers stop and when they go on."""
        self._task = asyncio.get_running_loop().create_task(self._run(logged), name="worker monitor")

    async def stop(self) -> None:
        """End what `start` began, if it did."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.close()

    async def _confirmed(self, snapshot: GroupSnapshot) -> Assessment:
        """A lag of transaction markers and aborted records is none."""
        now_s = clock.boot_s()
        assessment = self._tracker.observe(now_s, self._with_empty(snapshot))
        for place in assessment.stalled:
            await self._look_into(place, snapshot.offsets[place])
        return self._tracker.observe(now_s, self._with_empty(snapshot)) if assessment.stalled else assessment

    async def _look_into(self, place: Partition, offsets: Offsets) -> None:
        """Where a record was found it stays found until the committed offset moves."""
        if self._found.get(place) == offsets.committed:
            return
        if await self._reader.holds_records(place, offsets.committed, offsets.stable_end):
            self._found[place] = offsets.committed
        else:
            self._empty[place] = offsets

    def _with_empty(self, snapshot: GroupSnapshot) -> GroupSnapshot:
        """What was found to be empty is, until an offset of its partition changes."""
        self._empty = {place: known for place, known in self._empty.items() if snapshot.offsets.get(place) == known}
        empty = {place: replace(known, empty=True) for place, known in self._empty.items()}
        return GroupSnapshot(snapshot.members, {**snapshot.offsets, **empty})

    async def _run(self, logged: bool) -> None:
        while True:
            before = self.assessment
            error = await self._try_to_look()
            if logged:
                _log_change(before, self.assessment, error)
            await asyncio.sleep(self.interval_s)

    async def _try_to_look(self) -> Exception | None:
        """Return what kept it from reading."""
        try:
            await self.look()
        except Exception as error:  # noqa: BLE001 - what only observes must not end the process that it runs in
            return error
        return None

    def _lose(self, error: Exception) -> None:
        self.assessment, self.stopped, self.problem = None, "", f"workers: not known ({type(error).__name__})"
        self._tracker.forget()


def _log_change(before: Assessment | None, now: Assessment | None, error: Exception | None) -> None:
    if error is not None:
        known = isinstance(error, UNREACHABLE)
        frames = {} if known else {"frames": telemetry.frames_of(error)}
        if before is not None or not known:
            _log.warning("workers.unknown", error=type(error).__name__, **frames)
    elif now is not None and now.cause is not (before.cause if before else StopCause.NONE):
        write = _log.info if now.cause is StopCause.NONE else _log.error
        write("workers.progress", cause=now.cause.value, members=now.members, lag=sum(now.lag.values()))


async def watch(monitor: WorkerMonitor, waiting: Callable[[float], None] = lambda _: None) -> Assessment:
    """Read until each lag and each open transaction of the first read has moved or lasted the stall timeout.

    `waiting` is called once if that takes a second read, with the most seconds it may take. Disconnects at the end.
    Raises one of `UNREACHABLE`.
    """
    try:
        assessment = await monitor.look()
        left = assessment.undecided
        if left and assessment.members:
            waiting(monitor.limit_s)
        while left and assessment.members:
            await asyncio.sleep(monitor.interval_s)
            assessment = await monitor.look()
            left = {what: since_s for what, since_s in left.items() if assessment.undecided.get(what) == since_s}
        return assessment
    finally:
        await monitor.close()


def describe(assessment: Assessment) -> str:
    """The cause in words, with the time since when it lasts; "" for none."""
    since_ms = clock.now_ms() - int((clock.boot_s() - assessment.since_s) * 1000)
    since = clock.iso(since_ms // 1000 * 1000)
    match assessment.cause:
        case StopCause.NO_WORKER:
            return f"no worker makes progress since {since}: none is running"
        case StopCause.NO_PROGRESS:
            return f"no worker makes progress since {since}"
        case StopCause.PARTITIONS_STALLED:
            return f"no progress since {since} in {names(assessment.stalled)}"
        case StopCause.NONE:
            return ""


def names(places: Iterable[Partition]) -> str:
    """The first few partitions, and how many more."""
    named = [f"{topic}-{number}" for topic, number in sorted(places)]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more
