"""Attempts in doubt now: counted for the alert, logged as they begin, listed for `heliograph doubts`."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app import telemetry
from app.domain.contact import Attempt, Message, in_doubt
from app.domain.words import Stage

log = telemetry.logger(__name__)


def doubts_of(message: Message) -> tuple[Attempt, ...]:
    """Its attempts that may have been sent, and nobody knows."""
    return tuple(attempt for attempt in message.attempts if in_doubt(attempt))


class Doubts(Collector):
    """Of the partitions that are ours: messages without an outcome that have attempts in doubt."""

    def __init__(self) -> None:
        self._open: dict[int, dict[str, tuple[str, str, int]]] = {}

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
        lane = message.policy.lane if message.policy else ""
        for attempt in attempts[known[message.id][2] if message.id in known else 0 :] if log_new else ():
            log.warning("attempt.in_doubt", tenant=message.tenant, lane=lane, message=message.id, attempt=attempt.n)
        if attempts:
            known[message.id] = (message.tenant, lane, len(attempts))
        else:
            known.pop(message.id, None)

    def collect(self) -> Iterator[Metric]:
        """A gauge by tenant and lane."""
        family = GaugeMetricFamily(
            "heliograph_worker_attempts_in_doubt", "attempts that may have been sent, now", labels=("tenant", "lane")
        )
        counts: Counter[tuple[str, str]] = Counter()
        for known in self._open.values():
            for tenant, lane, count in known.values():
                counts[tenant, lane] += count
        for labels, count in counts.items():
            family.add_metric(labels, float(count))
        yield family
