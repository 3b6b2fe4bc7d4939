"""Attempts in doubt now: counted for the alert and logged as they begin."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app import telemetry
from app.domain.model.contact import Message, in_doubt
from app.domain.model.vocabulary import Stage

log = telemetry.logger(__name__)


def doubts_of(message: Message) -> tuple[int, ...]:
    """Numbers of its attempts that may have been sent, and nobody knows."""
    return tuple([attempt.n for attempt in message.attempts if in_doubt(attempt)])


class AttemptsInDoubt(Collector):
    """Of the partitions that are ours: messages without an outcome that have attempts in doubt."""

    def __init__(self) -> None:
        self._open: dict[int, dict[str, tuple[str, str, tuple[int, ...]]]] = {}

    def assigned(self, partition: int) -> None:
        """Nothing is known of the partition yet."""
        self._open[partition] = {}

    def revoked(self, partition: int) -> None:
        """Another worker counts here now."""
        self._open.pop(partition, None)

    def see(self, partition: int, message: Message, *, log_new: bool = True) -> None:
        """The message as its durable row has it."""
        known = self._open[partition]
        attempts = doubts_of(message) if message.stage is not Stage.FINAL else ()
        if not attempts:
            known.pop(message.id, None)
            return
        lane, before = message.policy.lane if message.policy else "", known.get(message.id, ("", "", ()))[2]
        known[message.id] = (message.tenant, lane, attempts)
        for n in attempts if log_new else ():
            if n not in before:
                log.warning("attempt.in_doubt", tenant=message.tenant, lane=lane, message=message.id, attempt=n)

    def collect(self) -> Iterator[Metric]:
        """A gauge by tenant and lane."""
        family = GaugeMetricFamily(
            "heliograph_worker_attempts_in_doubt", "attempts that may have been sent, now", labels=("tenant", "lane")
        )
        counts: Counter[tuple[str, str]] = Counter()
        for known in self._open.values():
            for tenant, lane, numbers in known.values():
                counts[tenant, lane] += len(numbers)
        for labels, count in counts.items():
            family.add_metric(labels, float(count))
        yield family
