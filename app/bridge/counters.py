"""From absolute values per window and shard to counters that only rise.

A counter is the sum of the last value of each window and shard from `since_ms` on: a function of the topic alone,
however often records repeat and in whatever order shards are read. A record adds the difference to the value last seen
of its window, so a repeat adds nothing and a smaller value is an older one. Windows are forgotten after two hours.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app.domain.metrics.windows import BOUNDS, KEPT_MS, METRICS
from app.domain.model.schema_fields import LARGEST
from app.records.metrics import NotifyMetric

PREFIX = "heliograph_"
# Beside those that are sure to come: by error code. Labels of records that are not ours could make any number.
MORE_SERIES = 100_000
SeriesKey = tuple[str, tuple[str, ...]]


class _Total:
    """A rising total: a count, and for histograms counts per bucket and a sum. `shown`: a scrape saw it at zero.

    The sum is kept in whole microseconds: added up in another order it must not end a rounding error lower, which
    Prometheus would take for a restart from zero.
    """

    __slots__ = ("buckets", "shown", "sum_us", "value")

    def __init__(self, buckets: int) -> None:
        self.value, self.sum_us, self.buckets, self.shown = 0.0, 0, [0] * buckets, False


class Counters(Collector):
    """Folds metric records; read by Prometheus's scrape. `beforehand`: series shown before their first record."""

    def __init__(self, beforehand: Iterable[SeriesKey]) -> None:
        self._totals: dict[SeriesKey, _Total] = {}
        self._seen: dict[int, dict[tuple[SeriesKey, int], NotifyMetric]] = {}
        self._newest: dict[int, int] = {}
        self.since_ms = 0
        self.records = self.unknown = self.lag = 0
        for key in beforehand:
            self._make(key)
        self._most_series = len(self._totals) + MORE_SERIES

    @property
    def newest_ms(self) -> int:
        """Start of the newest window folded, 0 if none was."""
        return max(self._newest.values(), default=0)

    def _make(self, key: SeriesKey) -> _Total:
        bounds = BOUNDS.get(key[0])
        return self._totals.setdefault(key, _Total(len(bounds) + 1 if bounds else 0))

    def fold(self, record: NotifyMetric) -> None:
        """Add what is new in this record."""
        self.records += 1
        if not _is_sound(record):
            self.unknown += 1
            return
        if record.window_ms < max(self.since_ms, self._newest.get(record.shard, 0) - KEPT_MS):
            return
        labels = tuple(record.labels.get(name, "other") for name in METRICS[record.metric][1])
        if (record.metric, labels) not in self._totals and len(self._totals) >= self._most_series:
            self.unknown += 1
            return
        self._add((record.metric, labels), record)
        self._forget(record.shard, record.window_ms)

    def _add(self, key: SeriesKey, record: NotifyMetric) -> None:
        seen = self._seen.setdefault(record.shard, {})
        before = seen.get((key, record.window_ms))
        if before is not None and record.value <= before.value:
            return
        total = self._totals.get(key) or self._make(key)
        total.value += record.value - (before.value if before else 0)
        total.sum_us += _us(record.sum) - (_us(before.sum) if before else 0)
        for index, count in enumerate(record.buckets):
            total.buckets[index] += count - (before.buckets[index] if before else 0)
        seen[key, record.window_ms] = record

    def _forget(self, shard: int, window_ms: int) -> None:
        if window_ms <= self._newest.get(shard, 0):
            return
        self._newest[shard] = window_ms
        seen = self._seen[shard]
        self._seen[shard] = {where: last for where, last in seen.items() if where[1] >= window_ms - KEPT_MS}

    def shown_before(self) -> None:
        """These totals are those of an earlier life: they were scraped."""
        for total in self._totals.values():
            total.shown = True

    def collect(self) -> Iterator[Metric]:
        """Counters and classic histograms. A series is first shown at zero, or its first increase would be lost."""
        families: dict[str, CounterMetricFamily | HistogramMetricFamily] = {}
        for metric, (meaning, names) in METRICS.items():
            kind = HistogramMetricFamily if metric in BOUNDS else CounterMetricFamily
            families[metric] = kind(PREFIX + metric, meaning, labels=names)
        for (metric, labels), total in self._totals.items():
            _show(families[metric], metric, labels, total if total.shown else _Total(len(total.buckets)))
            total.shown = True
        yield from families.values()
        yield CounterMetricFamily(PREFIX + "bridge_records", "Metric records read", value=self.records)
        yield CounterMetricFamily(PREFIX + "bridge_unknown", "Records of no known metric", value=self.unknown)
        yield GaugeMetricFamily(PREFIX + "bridge_lag_records", "Metric records not read yet", value=self.lag)
        since, meaning = self.since_ms / 1000, "Start of the first window counted, seconds since the epoch"
        yield GaugeMetricFamily(PREFIX + "bridge_since_timestamp_seconds", meaning, value=since)


def _is_sound(record: NotifyMetric) -> bool:
    """Whether it is of a metric that is known and its numbers can be added up."""
    bounds = BOUNDS.get(record.metric, ())
    buckets = len(bounds) + 1 if bounds else 0
    if record.metric not in METRICS or record.bounds != bounds or len(record.buckets) != buckets:
        return False
    return all(0 <= number <= LARGEST for number in (record.value, record.sum, *record.buckets))


def _show(
    family: CounterMetricFamily | HistogramMetricFamily, metric: str, labels: tuple[str, ...], total: _Total
) -> None:
    if isinstance(family, HistogramMetricFamily):
        family.add_metric(labels, _cumulative(BOUNDS[metric], total.buckets), total.sum_us / 1_000_000)
    else:
        family.add_metric(labels, total.value)


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _cumulative(bounds: tuple[float, ...], buckets: list[int]) -> list[tuple[str, float]]:
    rising, total = [], 0
    for bound, count in zip((*bounds, float("inf")), buckets, strict=True):
        total += count
        rising.append(("+Inf" if bound == float("inf") else str(float(bound)), float(total)))
    return rising
