"""Metrics of what the ingress observes of the workers: they are there when no worker is."""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.kafka.group_progress import Assessment, Partition
from app.kafka.progress_monitor import WorkerMonitor


class WorkersCollector(Collector):
    """Read from the monitor at each scrape. While nothing is known only `..._workers_unknown` has a sample."""

    def __init__(self, workers: WorkerMonitor) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Of the consumer group: members, whether it makes progress; by topic lag, stalled and held back partitions."""
        now = self._workers.assessment
        yield _gauge("workers_unknown", "1 while the workers' consumer group cannot be read", [now is None])
        known = [] if now is None else [now]
        yield _gauge("workers", "members of the workers' consumer group", [one.members for one in known])
        stopped = "1 while no worker makes progress"
        yield _gauge("workers_stopped", stopped, [one.stopped for one in known])
        yield from _by_topic(now)


def _by_topic(now: Assessment | None) -> Iterator[Metric]:
    topics = {topic for topic, _ in now.lag} if now else set[str]()
    for name, meaning, counts in (
        ("consumer_lag_records", "records that no worker has folded", now.lag_by_topic() if now else {}),
        ("stalled_partitions", "partitions with a lag and no progress", _counted(now.stalled if now else ())),
        ("held_partitions", "partitions held back by an open transaction", _counted(now.transactions if now else ())),
    ):
        family = GaugeMetricFamily(f"heliograph_ingress_{name}", meaning, labels=["topic"])
        for topic in sorted(topics):
            family.add_metric([topic], counts.get(topic, 0))
        yield family


def _counted(places: Iterable[Partition]) -> Counter[str]:
    return Counter(topic for topic, _ in places)


def _gauge(name: str, meaning: str, values: Iterable[float]) -> Metric:
    family = GaugeMetricFamily(f"heliograph_ingress_{name}", meaning)
    for value in values:
        family.add_metric([], float(value))
    return family
