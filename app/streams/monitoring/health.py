"""The worker's health and process metrics, on its internal port."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.internal_server import InternalServer, internal_app
from app.provider.concurrency_limiter import TenantQueue
from app.streams.engine.app import Runtime
from app.streams.engine.engine import EngineHealth


class EngineCollector(Collector):
    """Read from the engine at each scrape."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def collect(self) -> Iterator[Metric]:
        """The fields of `Health`."""
        health = health_of(self._runtime)
        if health is None:
            return
        for name, meaning, value in (
            ("assigned_partitions", "partitions running here", health.assigned),
            ("recovering", "1 while a rebalance or recovery is on", health.recovering),
            ("waiting_slices", "slices fetched and not folded yet", health.waiting),
            ("lease_seconds", "lease left", health.lease_s),
            ("idle_seconds", "since the last progress", health.idle_s),
        ):
            yield GaugeMetricFamily(f"heliograph_worker_{name}", meaning, value=float(value))
        done = "slices acknowledged and changelog slices restored"
        yield CounterMetricFamily("heliograph_worker_progress", done, value=float(health.progress))


class LookupCollector(Collector):
    """How often Lookup was asked, which is billed."""

    def __init__(self, lookups: Mapping[tuple[str, str], int]) -> None:
        self._lookups = lookups

    def collect(self) -> Iterator[Metric]:
        """By tenant and what it said: a line type, or failed."""
        asked = CounterMetricFamily(
            "heliograph_worker_lookups", "questions to Twilio's Lookup", labels=["tenant", "result"]
        )
        for labels, count in self._lookups.items():
            asked.add_metric(labels, count)
        yield asked


class FaultCollector(Collector):
    """Calls that a fault of ours kept from being made, or from being understood."""

    def __init__(self, faults: Mapping[str, int]) -> None:
        self._faults = faults

    def collect(self) -> Iterator[Metric]:
        faulted = CounterMetricFamily(
            "heliograph_worker_call_faults", "calls that met a fault of ours", labels=["tenant"]
        )
        for tenant, count in self._faults.items():
            faulted.add_metric([tenant], count)
        yield faulted


class GateCollector(Collector):
    """Read from the gates at each scrape: tenants of one account show the same."""

    def __init__(self, lines: Mapping[str, TenantQueue]) -> None:
        self._lines = lines

    def collect(self) -> Iterator[Metric]:
        limit = GaugeMetricFamily("heliograph_worker_calls_limit", "requests to Twilio at once, now", labels=["tenant"])
        inside = GaugeMetricFamily("heliograph_worker_calls_open", "requests to Twilio under way", labels=["tenant"])
        for tenant, line in self._lines.items():
            limit.add_metric([tenant], line.gate.limit)
            inside.add_metric([tenant], line.gate.inside)
        yield from (limit, inside)


def health_of(runtime: Runtime) -> EngineHealth | None:
    """None before the engine is built."""
    engine = getattr(runtime, "engine", None)
    return None if engine is None or engine.app is None else engine.health()


async def serve(
    runtime: Runtime, collectors: Iterable[Collector], host: str, port: int, degraded: Callable[[], str] = lambda: ""
) -> InternalServer:
    """Alive: no stall. Ready: partitions assigned and recovered. `degraded`: what is wrong with the workers as a whole,
    which this one may not know of itself (it waits for the group to form); a restart, which it may not need, is left to
    its own watchdog."""

    def alive() -> str:
        return "no progress" if runtime.stall.stalled else ""

    def ready() -> str:
        health = health_of(runtime)
        return "" if health is not None and health.assigned and not health.recovering else "not assigned yet"

    registry = CollectorRegistry()
    for collector in (EngineCollector(runtime), *collectors):
        registry.register(collector)
    ProcessCollector(registry=registry)
    return InternalServer(internal_app(alive, ready, registry, degraded=degraded), host, port)
