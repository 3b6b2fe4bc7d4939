"""Every expression of the dashboard and the rules, asked of a real Prometheus that scrapes a real bridge."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.dev.broker import free_port
from app.domain.lanes.circuit_breaker import CircuitBreaker
from app.domain.lanes.lane import Lane
from app.domain.metrics.windows import BOUNDS, METRICS
from app.domain.model.vocabulary import Proof
from app.ingress.http.connection_close import CloseReason
from app.ingress.worker_metrics import WorkersCollector
from app.internal_server import InternalServer, internal_app
from app.kafka.group_progress import Offsets
from app.kafka.progress_monitor import WorkerMonitor
from app.read_model.collector import ProjectionCollector
from app.records.metrics import NotifyMetric
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.monitoring.health import FaultCollector
from app.streams.monitoring.in_doubt import AttemptsInDoubt
from app.streams.monitoring.lag import PoisonCollector
from app.streams.monitoring.stopped_lanes import StoppedLanes
from tests.support.board import asked, filled, rules, variables, worker
from tests.support.bridged import Site, metric
from tests.support.engine_lab import until
from tests.support.given import doubtful, given, requested, turn
from tests.support.groups import FakeGroup, monitor
from tests.support.ingress_server import ACME, PUBLIC, FakeKafka, IngressServer, door
from tests.support.prometheus import Prometheus, running

LABELS = {"tenant": "default", "country": "US", "lane": "default", "label": "lane"}
# By metric: label values on top, how many, and (of histograms) the bucket they fall in.
STORY: list[tuple[str, dict[str, str], int, int]] = [
    ("accepted", {}, 100, 0),
    ("suppressed", {}, 7, 0),
    ("taken", {}, 95, 0),
    ("segments", {}, 190, 0),
    ("refused", {"error_class": "configuration"}, 5, 0),
    ("refused", {"error_class": "request"}, 2, 0),
    ("doubted", {}, 2, 0),
    ("outcomes", {"outcome": "delivered"}, 60, 0),
    ("outcomes", {"outcome": "undelivered"}, 25, 0),
    ("outcomes", {"outcome": "failed"}, 15, 0),
    ("errors", {"error_code": "30007"}, 25, 0),
    ("errors", {"error_code": "30450"}, 1, 0),
    ("request_to_create_seconds", {}, 50, 1),
    ("request_to_create_seconds", {}, 50, 9),
    ("create_to_delivered_seconds", {}, 60, 2),
    ("unlisted", {}, 1, 0),
]


def told() -> list[NotifyMetric]:
    """Each line on a shard of its own, so that two about one series add up."""
    records = []
    for line, (name, more, count, bucket) in enumerate(STORY):
        labels = {key: {**LABELS, **more}[key] for key in METRICS[name][1]}
        given: dict[str, object] = {"labels": labels, "shard": line % 2}
        if bounds := BOUNDS.get(name):
            buckets = [count if at == bucket else 0 for at in range(len(bounds) + 1)]
            given |= {"bounds": bounds, "buckets": tuple(buckets), "sum": count * bounds[bucket]}
        records.append(metric(name, count, **given))
    return records


def behind() -> WorkerMonitor:
    """No worker makes progress, and another partition is held back by a transaction."""
    return monitor(FakeGroup(1, Offsets(0, 5000, 5000), Offsets(3, 3, 7)), 0.5)


async def serving(*collectors: Collector) -> InternalServer:
    """An internal port with these metrics alone."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    served = InternalServer(internal_app(lambda: "", lambda: "", registry), "127.0.0.1", 0)
    await served.listening()
    return served


class Unread:
    """A read model whose database does not answer."""

    problem = "the read model cannot be read (OperationalError)"

    async def start(self) -> None:
        """It was looked at."""

    async def stop(self) -> None:
        """Nothing is open."""


class Restarting(Collector):
    """A worker that was started a moment ago, whenever one looks."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("process_start_time_seconds", "", value=time.time())


async def troubled(
    ingress: IngressServer, faults: Counter[str], aside: Counter[str], contained: ContainedFaults
) -> None:
    """Kafka is away; a proxy strips /hooks, another drops signatures; strangers knock; and once neither Kafka nor the
    disk took a record."""
    misdirected = {"AccountSid": ACME}, "token-of-acme"
    assert (
        await ingress.post("/twilio/status", *misdirected, signed_url=f"{PUBLIC}/hooks/twilio/status")
    ).status_code == 403
    for _ in range(30):
        assert (await ingress.http.post("/twilio/inbound")).status_code == 403
    for _ in range(15):
        assert (await ingress.report()).status_code == 204
        assert (await ingress.post("/twilio/status", {"AccountSid": "AC0"}, "guessed")).status_code == 403
    ingress.ingress.webhooks.answered["status", 503] += 1
    ingress.ingress.log._refusals.count += 1
    ingress.ingress.connections.cut[CloseReason.SILENT] += 1
    faults["default"] += 1
    aside["notify.requests"] += 1
    contained.counts["lister"] += 1


async def stalled(faults: Counter[str], aside: Counter[str], contained: ContainedFaults) -> InternalServer:
    """The internal port of a worker that has work and does none, an attempt in doubt, a lane that is stopped, calls
    that met a fault of ours, a record set aside and frozen contacts."""
    doubts, circuits = AttemptsInDoubt(), StoppedLanes()
    lane = Lane(1.0, 2.0, 0)
    lane.circuit = CircuitBreaker(0, Proof.TAKEN, 20003)
    circuits.lanes[0] = {("default", "default"): lane}
    doubts.assigned(0)
    doubts.see(0, given(requested(), turn(), doubtful()).message())
    process = ProcessCollector(registry=CollectorRegistry())
    poison = PoisonCollector(aside, lambda: 2)
    counted = FaultCollector(faults), poison, contained
    return await serving(circuits, worker(waiting=3, idle_s=60.0), doubts, *counted, process)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    path: Path = tmp_path_factory.mktemp("prometheus")
    away = FakeKafka()
    away.here, faults, aside = False, Counter({"default": 0}), Counter({"notify.requests": 0})
    contained = ContainedFaults()
    async with AsyncExitStack() as stack:
        site, ingress, hung = (
            Site(kafka, path),
            await stack.enter_async_context(door(path, away, workers=behind(), read_model=Unread())),
            await stalled(faults, aside, contained),
        )
        blind, restarting = await serving(WorkersCollector(monitor(FakeGroup()))), await serving(Restarting())
        slow = await serving(ProjectionCollector(SimpleNamespace(projected=5, unreadable=1, lag=900)))  # type: ignore[arg-type] # all that it reads
        for served in (hung, blind, restarting, slow):
            stack.push_async_callback(served.stop)
        stack.callback(site.close)
        await asyncio.to_thread(site.start)
        targets = {
            "heliograph-bridge": [site.part.ready["metrics"]],
            "heliograph-ingress": [ingress.internal, blind.url],
            "heliograph-worker": [hung.url, restarting.url, f"http://127.0.0.1:{free_port()}"],
            "heliograph-read-model": [slow.url],
        }
        made = stack.enter_context(await asyncio.to_thread(running, path, targets))
        for seen in (
            "heliograph_accepted_total",
            "heliograph_ingress_requests_total",
            "heliograph_worker_call_faults_total",
        ):
            await asyncio.to_thread(until, lambda name=seen: made.query(name))
        await troubled(ingress, faults, aside, contained)
        await asyncio.to_thread(site.say, *told())
        whole = "sum(increase(heliograph_errors_total[5m])) > 0 and sum(heliograph_ingress_spool_bytes) > 0"
        await asyncio.to_thread(until, lambda: made.query(whole))
        yield made


@pytest.mark.parametrize("expr", [pytest.param(one.expr, id=f"{one.where}-{n}") for n, one in enumerate(asked())])
@pytest.mark.asyncio(loop_scope="module")
async def test_an_expression_runs_and_finds_something(expr, prometheus):
    found = await asyncio.to_thread(until, lambda: prometheus.query(filled(expr)), 15)
    assert all(sample["value"][1] != "NaN" for sample in found)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("panel", "value"), [("Delivered", 0.6), ("Begun within 5 s", 0.5)])
async def test_a_share_is_the_share_of_what_was_told(panel, value, prometheus):
    (expr,) = (one.expr for one in asked() if one.where == panel)
    (sample,) = await asyncio.to_thread(prometheus.query, filled(expr))
    assert float(sample["value"][1]) == pytest.approx(value)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_undelivered_share_by_country_names_its_country(prometheus):
    (expr,) = (one.expr for one in asked() if one.where == "Undelivered share, by country")
    (sample,) = await asyncio.to_thread(prometheus.query, filled(expr))
    assert sample["metric"] == {"country": "US"} and float(sample["value"][1]) == pytest.approx(0.4)


@pytest.mark.asyncio(loop_scope="module")
async def test_variables_offer_the_values_that_came(prometheus):
    for _, selector, label in variables():
        given = {"match[]": filled(selector)}
        offered = await asyncio.to_thread(
            lambda label=label, given=given: prometheus.ask(f"label/{label}/values", **given)
        )
        assert LABELS[label] in offered


@pytest.mark.asyncio(loop_scope="module")
async def test_every_alert_is_raised_by_this_story_and_none_fails(prometheus):
    wanted = {rule["alert"] for rule in rules()}

    def raised() -> bool:
        made = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        assert [rule["lastError"] for rule in made if rule.get("lastError")] == []
        return {rule["name"] for rule in made if rule["state"] != "inactive"} == wanted

    assert await asyncio.to_thread(until, raised)
