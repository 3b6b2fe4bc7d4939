"""From absolute values per window to counters that only rise.

A counter starts at zero when the bridge starts, at the committed offset; a record adds the difference to the value
last seen of its window and shard, so repeats add nothing. Series are made at zero before the first record, so that
Prometheus sees the first increase. Windows are forgotten after two hours.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app.domain.windows import BOUNDS, KEPT_MS, METRICS
from app.records.metrics import NotifyMetric

PREFIX = "heliograph_"
Labels = tuple[str, ...]
SeriesKey = tuple[str, Labels]


class _Sum:
    """A rising total: a count, and for histograms counts per bucket and a sum of seconds."""

    __slots__ = ("buckets", "sum", "value")

    def __init__(self, buckets: int) -> None:
        self.value, self.sum, self.buckets = 0.0, 0.0, [0.0] * buckets


class Counters(Collector):
    """Folds metric records; read by Prometheus's scrape."""

    def __init__(self, known: Mapping[str, Iterable[str]]) -> None:
        self._series: dict[SeriesKey, _Sum] = {}
        self._seen: dict[tuple[SeriesKey, int, int], NotifyMetric] = {}
        self._newest_ms = 0
        self.records = self.unknown = 0
        for metric, (_, names) in METRICS.items():
            for labels in product(*(sorted(known.get(name, ("other",))) for name in names)):
                self._make((metric, labels))

    def _make(self, key: SeriesKey) -> _Sum:
        bounds = BOUNDS.get(key[0])
        return self._series.setdefault(key, _Sum(len(bounds) + 1 if bounds else 0))

    def fold(self, record: NotifyMetric) -> None:
        """Add what is new in this record."""
        self.records += 1
        if record.metric not in METRICS:
            self.unknown += 1
            return
        key = record.metric, tuple(record.labels.get(name, "other") for name in METRICS[record.metric][1])
        where = key, record.window_ms, record.shard
        before, total = self._seen.get(where), self._make(key)
        if before is not None and record.value <= before.value:
            return
        total.value += record.value - (before.value if before else 0)
        total.sum += record.sum - (before.sum if before else 0)
        for index, count in enumerate(record.buckets):
            total.buckets[index] += count - (before.buckets[index] if before else 0)
        self._seen[where] = record
        self._forget(record.window_ms)

    def _forget(self, window_ms: int) -> None:
        if window_ms <= self._newest_ms:
            return
        self._newest_ms = window_ms
        self._seen = {where: seen for where, seen in self._seen.items() if where[1] >= window_ms - KEPT_MS}

    def collect(self) -> Iterator[Metric]:
        """Counters and classic histograms."""
        families: dict[str, CounterMetricFamily | HistogramMetricFamily] = {}
        for metric, (meaning, names) in METRICS.items():
            kind = HistogramMetricFamily if metric in BOUNDS else CounterMetricFamily
            families[metric] = kind(PREFIX + metric, meaning, labels=names)
        for (metric, labels), total in self._series.items():
            family = families[metric]
            if isinstance(family, HistogramMetricFamily):
                family.add_metric(labels, _cumulative(BOUNDS[metric], total.buckets), total.sum)
            else:
                family.add_metric(labels, total.value)
        yield from families.values()
        yield CounterMetricFamily(PREFIX + "bridge_records", "Metric records read", value=self.records)
        yield CounterMetricFamily(PREFIX + "bridge_unknown", "Records of no known metric", value=self.unknown)


def _cumulative(bounds: tuple[float, ...], buckets: list[float]) -> list[tuple[str, float]]:
    rising, total = [], 0.0
    for bound, count in zip((*bounds, float("inf")), buckets, strict=True):
        total += count
        rising.append(("+Inf" if bound == float("inf") else str(float(bound)), total))
    return rising
