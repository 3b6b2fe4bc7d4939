"""A consumer group as a monitor reads it, standing as a test says."""

from app.kafka.group_progress import GroupSnapshot, Offsets, Partition
from app.kafka.progress_monitor import WorkerMonitor

TOPIC = "notify.requests"


class FakeGroup:
    """`error`: raised by every read. `records`: whether what lags holds any; `asked`: partitions looked into."""

    def __init__(self, members: int = 1, *offsets: Offsets) -> None:
        self.error: Exception | None = None
        self.records, self.asked, self.closed = True, list[Partition](), 0
        self.stand(members, *offsets)

    def stand(self, members: int, *offsets: Offsets) -> None:
        """One partition of a topic for each of these."""
        self.snapshot = GroupSnapshot(members, {(TOPIC, number): one for number, one in enumerate(offsets)})

    async def read(self) -> GroupSnapshot:
        if self.error is not None:
            raise self.error
        return self.snapshot

    async def holds_records(self, place: Partition, start: int, end: int) -> bool:
        assert start < end, "only what lags is looked into"
        self.asked.append(place)
        return self.records

    async def close(self) -> None:
        self.closed += 1


def monitor(group: FakeGroup, stall_timeout_s: float = 30.0) -> WorkerMonitor:
    return WorkerMonitor(group, stall_timeout_s)
