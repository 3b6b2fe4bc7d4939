"""Lanes that are stopped now: kept as rows, counted for the alert, and said in the log as they stop and go on."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app import telemetry
from app.domain.lanes.circuit_breaker import FIRST_HOLD_MS, CircuitBreaker
from app.domain.lanes.lane import Lane
from app.records.lanes import StoppedLane

log = telemetry.logger(__name__)
LaneKey = tuple[str, str]


class StoppedLanes(Collector):
    """The lanes of the partitions that are ours, looked at with each scrape. `probe_after_ms`: see `CircuitBreaker`."""

    def __init__(self, probe_after_ms: int = FIRST_HOLD_MS) -> None:
        self.probe_after_ms = probe_after_ms
        self.lanes: dict[int, dict[LaneKey, Lane]] = {}

    def collect(self) -> Iterator[Metric]:
        """1 for each lane that is stopped, 0 for the others."""
        family = GaugeMetricFamily(
            "heliograph_worker_lane_stopped", "1 while Twilio refuses the set-up of a lane", labels=("tenant", "lane")
        )
        for known in tuple(self.lanes.values()):
            for labels, lane in tuple(known.items()):
                family.add_metric(labels, float(lane.circuit is not None))
        yield family


def row_key(tenant: str, lane: str) -> bytes:
    """Of the row of a stopped lane, among the asks."""
    return f"stopped.{tenant}.{lane}".encode()


def row_of(tenant: str, lane: str, circuit: CircuitBreaker, wall_ms: int) -> StoppedLane:
    """The row, in wall time. `wall_ms`: what to add to a time of the circuit, which is the boot clock's."""
    return StoppedLane(
        tenant=tenant,
        lane=lane,
        proof=circuit.proof,
        until_ms=circuit.until_ms + wall_ms,
        hold_ms=circuit.hold_ms,
        since_ms=circuit.since_ms + wall_ms,
        code=circuit.code,
    )


def circuit_of(row: StoppedLane, probe_after_ms: int, wall_ms: int, boot_ms: int) -> CircuitBreaker:
    """As it was before this worker owned it, by this machine's boot clock. `wall_ms`: see `row_of`.

    The time of its next probe is by the former owner's wall clock. If that was ahead of ours, the lane does not stop
    for longer than the pause between two probes all the same.
    """
    circuit = CircuitBreaker(row.since_ms - wall_ms, row.proof, row.code, probe_after_ms)
    circuit.until_ms, circuit.hold_ms = min(row.until_ms - wall_ms, boot_ms + row.hold_ms), row.hold_ms
    return circuit


def tell_stopped(tenant: str, lane: str, circuit: CircuitBreaker, waiting: int) -> None:
    """For the operator: see the runbook refused-by-configuration."""
    log.error("lane.stopped", tenant=tenant, lane=lane, code=circuit.code, waiting=waiting)


def tell_going(tenant: str, lane: str, waiting: int) -> None:
    """The lane goes on."""
    log.info("lane.going", tenant=tenant, lane=lane, waiting=waiting)
