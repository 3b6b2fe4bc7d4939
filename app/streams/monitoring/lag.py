"""Metrics of what a worker has not folded: consumer lag, and what the poison guard took out of the way."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.kafka.progress_monitor import WorkerMonitor


class LagCollector(Collector):
    """Consumer lag of this worker's partitions, as of the monitor's last read. `owns`: whether a partition is one."""

    def __init__(self, monitor: WorkerMonitor, owns: Callable[[str, int], bool]) -> None:
        self._monitor, self._owns = monitor, owns

    def collect(self) -> Iterator[Metric]:
        """By topic; nothing while Kafka cannot be read."""
        family = GaugeMetricFamily(
            "heliograph_worker_consumer_lag_records", "records of its partitions that are not folded", labels=["topic"]
        )
        assessment = self._monitor.assessment
        lags: Counter[str] = Counter()
        for (topic, number), lag in (assessment.lag if assessment else {}).items():
            lags[topic] += lag if self._owns(topic, number) else 0
        for topic, records in sorted(lags.items()):
            family.add_metric([topic], records)
        yield family


class PoisonCollector(Collector):
    """What the poison guard did. `set_aside`: records by topic since the start of the process; `frozen`: contacts of
    this worker's partitions that are frozen now."""

    def __init__(self, set_aside: Mapping[str, int], frozen: Callable[[], int]) -> None:
        self._set_aside, self._frozen = set_aside, frozen

    def collect(self) -> Iterator[Metric]:
        """A counter by topic, and a gauge."""
        family = CounterMetricFamily(
            "heliograph_worker_records_set_aside", "records passed by after three deaths at them", labels=["topic"]
        )
        for topic, count in self._set_aside.items():
            family.add_metric([topic], count)
        yield family
        yield GaugeMetricFamily(
            "heliograph_worker_contacts_frozen", "contacts for which no call leaves", value=float(self._frozen())
        )
