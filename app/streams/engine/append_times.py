"""How old an input is, measured on this machine's clock alone.

The time that a broker stamps on a record says nothing here: the clocks of two brokers, or of a broker and this machine,
may differ by more than an input may be old. But every fetch response carries the partition's high watermark, the offset
behind its last readable record. A record at or behind the high watermark of a response became readable after the
request of that response was sent. So the latest such request bounds the record's age, in boot time.

The high watermark of a new leader may be behind the old leader's until its followers have fetched once. A record that
no response has shown as readable before may look younger by that moment.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from aiokafka.protocol.fetch import FetchRequest

from app import clock

# Observations of one partition that are kept, and how far apart in seconds (the last two may be closer): under
# uninterrupted load they reach back 50 s, and a bound is at most 50 ms earlier than the best that was observed.
KEPT, APART_S = 1000, 0.05


class _Observations:
    """High watermarks of one partition and when they were asked for; both only rise."""

    __slots__ = ("high_watermarks", "sent_s")

    def __init__(self) -> None:
        self.high_watermarks: list[int] = []
        self.sent_s: list[float] = []

    def add(self, high_watermark: int, sent_s: float) -> None:
        known, times = self.high_watermarks, self.sent_s
        # A high watermark that went back is a new leader's (see the module): it proves nothing of the records in
        # between, which were readable before. A response that another one overtook adds nothing.
        if known and (high_watermark < known[-1] or sent_s <= times[-1]):
            return
        if known and high_watermark == known[-1]:
            times[-1] = sent_s
            return
        if len(known) > 1 and times[-1] - times[-2] < APART_S:
            known[-1], times[-1] = high_watermark, sent_s
            return
        known.append(high_watermark)
        times.append(sent_s)
        if len(known) > 2 * KEPT:
            del known[:-KEPT], times[:-KEPT]

    def appended_after(self, offset: int) -> float | None:
        found = bisect_right(self.high_watermarks, offset)
        return self.sent_s[found - 1] if found else None


class AppendTimes:
    """Lower bounds of the times at which records were appended, by partition.

    The consumer thread observes and the main thread asks. A lock guards both, as an observation changes two lists; it
    is held for microseconds and never across an await, so neither event loop waits noticeably.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._partitions: dict[tuple[str, int], _Observations] = {}

    def observe(self, topic: str, partition: int, high_watermark: int, sent_s: float) -> None:
        """Take a fetch response into account. `sent_s`: boot time in seconds before its request was sent."""
        with self._lock:
            observations = self._partitions.get((topic, partition))
            if observations is None:
                observations = self._partitions[topic, partition] = _Observations()
            observations.add(high_watermark, sent_s)

    def appended_after(self, topic: str, partition: int, offset: int) -> float | None:
        """Boot time in seconds after which this record became readable; never later than that moment.

        None: not known, because the record was readable before this process began to fetch the partition, or because
        so many came after it that the observation is gone.
        """
        with self._lock:
            observations = self._partitions.get((topic, partition))
            return None if observations is None else observations.appended_after(offset)

    def forget(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Drop what is known of partitions that were revoked. A response under way may bring a little of it back."""
        with self._lock:
            for topic, partition in partitions:
                self._partitions.pop((topic, partition), None)


def observe_fetches(client: Any, append_times: AppendTimes, wanted: Callable[[str], bool]) -> None:
    """Report every fetch response that this aiokafka client receives to `append_times`.

    Args:
        client: the `AIOKafkaClient` of a consumer; its `send` is replaced.
        append_times: what is told.
        wanted: whether the partitions of a topic are observed.
    """
    inner = client.send

    async def send(node_id: int, request: Any, **options: Any) -> Any:
        sent_s = clock.boot_s()
        response = await inner(node_id, request, **options)
        if isinstance(request, FetchRequest):
            for topic, partitions in response.topics:
                if wanted(topic):
                    _observe(append_times, topic, partitions, sent_s)
        return response

    client.send = send


def _observe(append_times: AppendTimes, topic: str, partitions: Iterable[Any], sent_s: float) -> None:
    for partition, error_code, high_watermark, *_ in partitions:
        if not error_code:
            append_times.observe(topic, partition, high_watermark, sent_s)
