"""Faults that ended only what caused them: written to the log, and counted for an alert."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from app import telemetry
from app.streams.engine.agent import Output
from app.streams.engine.errors import RecordRefusedError

log = telemetry.logger(__name__)

# What may be at work when a fault is contained.
WORKS = ("answer", "arming", "caller_fields", "foreign_key", "lane", "lister", "recall", "timers")
Ends = Mapping[tuple[str, int], int]  # last offset by topic and partition
Send = Callable[[Sequence[Output]], Awaitable[Ends]]


class ContainedFaults(Collector):
    """The faults of this process, by what was at work."""

    def __init__(self) -> None:
        self.counts = Counter(dict.fromkeys(WORKS, 0))

    def note(self, work: str, error: BaseException, **where: object) -> None:
        """Log a fault and count it. `where`: what it is about; no personal data."""
        kind, frames = type(error).__name__, telemetry.frames_of(error)
        log.error("fault.contained", work=work, error=kind, frames=frames, **where)
        self.counts[work] += 1

    def collect(self) -> Iterator[Metric]:
        """A counter by work."""
        family = CounterMetricFamily(
            "heliograph_worker_faults_contained", "faults that did not end the process", labels=["work"]
        )
        for work, count in self.counts.items():
            family.add_metric([work], count)
        yield family


class TolerantSender:
    """Produces records outside the cycles. One that Kafka refuses for what it is is dropped and noted, the others are
    sent: whatever made it comes due again, or the message ends in doubt."""

    def __init__(self, send: Send, faults: ContainedFaults, work: str) -> None:
        self._send, self._faults, self._work = send, faults, work

    async def one(self, output: Output) -> None:
        """The same for a single record."""
        await self((output,))

    async def __call__(self, outputs: Sequence[Output]) -> Ends:
        """Returns when all that are not refused are acknowledged: the last offset by topic and partition."""
        try:
            return await self._send(outputs)
        except RecordRefusedError as refused:
            if len(outputs) == 1:
                self._faults.note(self._work, refused, topic=outputs[0].topic)
                return {}
        # Those behind the refused one were not sent. A repeat of the others is harmless.
        ends: dict[tuple[str, int], int] = {}
        for output in outputs:
            ends |= await self((output,))
        return ends
