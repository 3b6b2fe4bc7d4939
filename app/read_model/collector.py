"""Metrics of the process that writes the read model."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.read_model.projection import Projection


class ProjectionCollector(Collector):
    """Read from the projection at each scrape."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection

    def collect(self) -> Iterator[Metric]:
        """Records projected, those that could not be read, and the lag."""
        now = self._projection
        yield CounterMetricFamily("heliograph_read_model_records", "records projected", value=now.projected)
        unreadable = "records on notify.updates and notify.outcomes that could not be read"
        yield CounterMetricFamily("heliograph_read_model_unreadable", unreadable, value=now.unreadable)
        yield GaugeMetricFamily("heliograph_read_model_lag_records", "records not projected yet", value=now.lag)
