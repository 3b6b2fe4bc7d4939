"""The dashboard and the rules as Prometheus will be asked; and what our processes really expose."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import promql_parser as promql
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from app.bridge.counters import Counters
from app.domain.metrics.series import beforehand
from app.ingress.app import Ingress, IngressCollector
from app.ingress.worker_metrics import WorkersCollector
from app.read_model.collector import ProjectionCollector
from app.streams.engine.engine import EngineHealth
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.monitoring.health import EngineCollector, FaultCollector
from app.streams.monitoring.in_doubt import AttemptsInDoubt
from app.streams.monitoring.lag import LagCollector, PoisonCollector
from app.streams.monitoring.stopped_lanes import StoppedLanes
from tests.support.groups import FakeGroup, monitor

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "ops" / "grafana" / "dashboards" / "heliograph.json"
RULES = ROOT / "ops" / "prometheus" / "rules.yml"
PROMETHEUS = ROOT / "ops" / "prometheus" / "prometheus.yml"

LANES, COUNTRIES = {"acme": ("main",), "beta": ("slow",)}, ("US", "DE", "other")
BEYOND = {"up": {"job", "instance"}}
FROM_SCRAPE = {"job", "instance"}


class PanelQuery(NamedTuple):
    """One expression, as written, and where it stands."""

    where: str
    expr: str


def board() -> dict[str, Any]:
    return json.loads(BOARD.read_text())


def panels() -> list[dict[str, Any]]:
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def asked() -> list[PanelQuery]:
    """Every expression of every panel, variable and rule."""
    of_panels = [PanelQuery(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    of_rules = [PanelQuery(rule["alert"], rule["expr"]) for rule in rules()]
    return of_panels + of_rules + [PanelQuery(f"variable {name}", selector) for name, selector, _ in variables()]


def variables() -> Iterator[tuple[str, str, str]]:
    """Name, selector and label of each variable: `label_values(selector, label)`."""
    for variable in board()["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found, variable["query"]
            yield variable["name"], found[1], found[2]


def filled(expr: str, interval: str = "5m", span: str = "1h") -> str:
    """As Grafana fills it in with every variable on All."""
    for name, value in {
        "__rate_interval": interval,
        "__range": span,
        "tenant": ".*",
        "country": ".*",
        "lane": ".*",
    }.items():
        expr = re.sub(rf"\${name}\b", value, expr)
    assert "$" not in expr, expr
    return expr


def worker(**given: Any) -> EngineCollector:
    """The worker's collector over an engine that stands as told."""
    quiet = EngineHealth(assigned=8, recovering=False, restoring=False, waiting=0, lease_s=8.0, progress=5, idle_s=0.1)
    told = replace(quiet, **given)
    engine = SimpleNamespace(app=object(), health=lambda: told)
    return EngineCollector(SimpleNamespace(engine=engine))  # type: ignore[arg-type] # all of a runtime that is read


def exposed(ingress: Ingress) -> dict[str, set[str]]:
    """Every sample our processes can expose, with its labels, from the registries themselves."""
    names: dict[str, set[str]] = {name: set(labels) for name, labels in BEYOND.items()}
    for collector in (
        Counters(beforehand(LANES, COUNTRIES)),
        IngressCollector(ingress),
        worker(),
        AttemptsInDoubt(),
        StoppedLanes(),
        FaultCollector({}),
        ContainedFaults(),
        WorkersCollector(monitor(FakeGroup())),
        LagCollector(monitor(FakeGroup()), lambda *_: True),
        PoisonCollector({}, lambda: 0),
        ProjectionCollector(SimpleNamespace(projected=0, unreadable=0, lag=0)),  # type: ignore[arg-type] # all it reads
        _process(),
    ):
        for family in collector.collect():
            for name, labels in _samples(family):
                names.setdefault(name, set()).update(labels | FROM_SCRAPE)
    return names


def _process() -> Collector:
    return ProcessCollector(registry=CollectorRegistry())


def _samples(family: Metric) -> Iterator[tuple[str, set[str]]]:
    labels = set(getattr(family, "_labelnames", ()))
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
    for ending in endings:
        yield family.name + ending, labels | ({"le"} if ending == "_bucket" else set())
    for sample in family.samples:
        yield sample.name, set(sample.labels)


def selectors(expr: Any) -> Iterator[Any]:
    """Every vector selector of a parsed expression."""
    match expr:
        case promql.VectorSelector():
            yield expr
        case promql.MatrixSelector():
            yield expr.vector_selector
        case promql.BinaryExpr():
            yield from selectors(expr.lhs)
            yield from selectors(expr.rhs)
        case promql.Call():
            for argument in expr.args:
                yield from selectors(argument)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from selectors(expr.expr)
        case promql.NumberLiteral() | promql.StringLiteral():
            return
        case _:
            raise AssertionError(f"an expression of a kind not looked into: {type(expr).__name__}")


def groupings(expr: Any) -> Iterator[tuple[set[str], list[Any]]]:
    """Each `by`, `without`, `on` and `ignoring`: its labels, and the selectors they group."""
    match expr:
        case promql.BinaryExpr():
            if expr.modifier is not None and expr.modifier.matching is not None:
                yield set(expr.modifier.matching.labels), list(selectors(expr))
            yield from groupings(expr.lhs)
            yield from groupings(expr.rhs)
        case promql.AggregateExpr():
            if expr.modifier is not None:
                yield set(expr.modifier.labels), list(selectors(expr.expr))
            yield from groupings(expr.expr)
        case promql.Call():
            for argument in expr.args:
                yield from groupings(argument)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from groupings(expr.expr)
        case _:
            return
