"""The dashboard and the rules ask only for what our code exposes, and are as Grafana's own linter wants them."""

import re
import shutil
import subprocess
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from app.cli.commands.up import BRIDGE_PORT, INTERNAL_PORT, READ_MODEL_PORT, WORKER_PORT
from app.config.settings import Settings
from app.ingress.app import Ingress
from tests.support.board import (
    PROMETHEUS,
    ROOT,
    RULES,
    asked,
    board,
    exposed,
    filled,
    groupings,
    panels,
    rules,
    selectors,
    variables,
)
from tests.support.ingress_server import KEYS, FakeKafka

EXPRESSIONS = [pytest.param(one.expr, id=f"{one.where}-{n}") for n, one in enumerate(asked())]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    settings = Settings.read({**KEYS, "HELIOGRAPH_SPOOL_DIR": str(tmp_path_factory.mktemp("spool"))})
    return exposed(Ingress(settings, {}, FakeKafka().open, lambda _: None))  # type: ignore[arg-type] # a fake line


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_an_expression_names_only_metrics_and_labels_that_are_exposed(expr, known):
    parsed = promql.parse(filled(expr))
    for selector in selectors(parsed):
        assert selector.name in known, selector.name
        assert {matcher.name for matcher in selector.matchers.matchers} <= known[selector.name], selector.name
    for labels, grouped in groupings(parsed):
        for selector in grouped:
            assert labels <= known[selector.name], (selector.name, labels)


@pytest.mark.parametrize("expr", ["rate(heliograph_guessed_total[5m])", "sum by (phone) (heliograph_taken_total)",
                                  'heliograph_taken_total{outcome="x"}'])  # fmt: skip
def test_an_expression_that_names_anything_else_is_found_out(expr, known):
    with pytest.raises(AssertionError):
        test_an_expression_names_only_metrics_and_labels_that_are_exposed(expr, known)


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_bounds_asked_for_are_bounds_that_exist(expr):
    from app.domain.metrics.windows import BOUNDS

    bounds = {f"heliograph_{metric}_bucket": {str(bound) for bound in bounds} for metric, bounds in BOUNDS.items()}
    for selector in selectors(promql.parse(filled(expr))):
        for matcher in selector.matchers.matchers:
            assert matcher.name != "le" or matcher.value in bounds[selector.name]


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_values_of_closed_labels_that_are_asked_for_exist(expr):
    from app.domain.model.vocabulary import ErrorClass, OutcomeWord
    from app.ingress.http.connection_close import CloseReason
    from app.ingress.webhooks.diagnosis import Misconfiguration
    from app.ingress.webhooks.rejections import RejectionReason

    closed = {
        "outcome": set(OutcomeWord),
        "error_class": set(ErrorClass),
        "why": {*RejectionReason, *CloseReason},
        "mistake": set(Misconfiguration),
    }
    for selector in selectors(promql.parse(filled(expr))):
        for matcher in selector.matchers.matchers:
            assert set(matcher.value.split("|")) <= closed.get(matcher.name, {*matcher.value.split("|")})


def test_every_metric_of_messages_is_on_the_board(known):
    on_board = {selector.name for one in asked() for selector in selectors(promql.parse(filled(one.expr)))}
    ours = {name for name in known if re.fullmatch(r"heliograph_(?!bridge|ingress|worker)\w+(_total|_bucket)", name)}
    assert ours <= on_board and len(ours) > 9


def test_a_panel_has_a_title_a_description_a_unit_and_the_boards_data_source():
    for panel in panels():
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)


def test_panels_and_targets_have_ids_of_their_own_and_do_not_overlap():
    everything = board()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(references)) == len(references)


def test_a_panel_over_time_uses_the_interval_and_one_number_uses_the_range():
    for panel in panels():
        for target in panel["targets"]:
            over_time = panel["type"] == "timeseries"
            assert ("$__range" if over_time else "$__rate_interval") not in target["expr"], panel["title"]
            assert target.get("instant", False) is not over_time


def test_every_counter_is_asked_through_rate_or_increase(known):
    for one in asked():
        for name in re.findall(r"heliograph_\w+?_(?:total|bucket|count)\b", one.expr):
            inside = re.search(rf"(rate|increase)\({name}\b", one.expr)
            assert inside or one.where.startswith("variable"), one


def test_a_legend_names_only_labels_that_the_result_has():
    for panel in panels():
        for target in panel["targets"]:
            kept = {label for labels, _ in groupings(promql.parse(filled(target["expr"]))) for label in labels}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept, panel["title"]


def test_variables_are_tenant_country_and_lane_and_each_is_used():
    assert [name for name, *_ in variables()] == ["tenant", "country", "lane"]
    for name, _, label in variables():
        assert name == label and any(f"${name}" in one.expr for one in asked())


def test_an_alert_says_how_bad_it_is_what_it_means_and_what_to_do():
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
        kept = {label for labels, _ in groupings(promql.parse(rule["expr"])) for label in labels} | {"job", "instance"}
        assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= kept, rule["alert"]


def test_the_data_source_has_the_id_that_the_board_begins_with():
    source = ROOT / "ops" / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (made,) = yaml.safe_load(source.read_text())["datasources"]
    (first,) = [v for v in board()["templating"]["list"] if v["type"] == "datasource"]
    assert made["uid"] == first["current"]["value"] and made["type"] == first["query"]


def test_prometheus_looks_where_up_listens():
    jobs = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    places = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert places == {
        "heliograph-bridge": [f"127.0.0.1:{BRIDGE_PORT}"],
        "heliograph-ingress": [f"127.0.0.1:{INTERNAL_PORT}"],
        "heliograph-worker": [f"127.0.0.1:{WORKER_PORT}"],
        "heliograph-read-model": [f"127.0.0.1:{READ_MODEL_PORT}"],
    }


@pytest.mark.parametrize(("what", "path"), [("config", PROMETHEUS), ("rules", RULES)])
def test_prometheus_own_tool_takes_them(what: str, path: Path):
    if not (tool := shutil.which("promtool")):
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run([tool, "check", what, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
