"""Alerts on the workers fire on trouble and not without it, by Prometheus's own unit tests of rules."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.board import RULES, rules

INGRESS, WORKER = '{job="heliograph-ingress",instance="i"', '{job="heliograph-worker",instance="w"'
TOPIC = ',topic="contacts"}'
LAG = f"heliograph_ingress_consumer_lag_records{INGRESS}{TOPIC}"
STARTED = f"process_start_time_seconds{WORKER}}}"
ASIDE = f"heliograph_worker_records_set_aside_total{WORKER}{TOPIC}"
Series = dict[str, str]
# By alert: samples one a minute over 30 minutes of a quiet system, and of one in trouble.
CASES: list[tuple[str, Series, Series]] = [
    (
        "HeliographWorkersStopped",
        {f"heliograph_ingress_workers_stopped{INGRESS}}}": "0x30"},
        {f"heliograph_ingress_workers_stopped{INGRESS}}}": "0x28 1 1"},
    ),
    (
        "HeliographPartitionStalled",
        {f"heliograph_ingress_stalled_partitions{INGRESS}{TOPIC}": "0x30"},
        {f"heliograph_ingress_stalled_partitions{INGRESS}{TOPIC}": "0x26 1 1 1 1"},
    ),
    (
        "HeliographWorkersUnknown",
        {f"heliograph_ingress_workers_unknown{INGRESS}}}": "0x15 1x8 0x10"},
        {f"heliograph_ingress_workers_unknown{INGRESS}}}": "0x10 1x20"},
    ),
    # A backlog that shrinks is no lag to be told of, nor is a small one that grows.
    ("HeliographConsumerLag", {LAG: "90000-1000x30"}, {LAG: "2000+10x30"}),
    ("HeliographConsumerLag", {LAG: "0+10x30"}, {LAG: "5000x30"}),
    # One restart, as at a deployment; three in a few minutes.
    (
        "HeliographWorkerRestarts",
        {STARTED: "0x15 1000x15"},
        {STARTED: "0x17 1100x2 1300x2 1500x10"},
    ),
    ("HeliographRecordSetAside", {ASIDE: "0x30", STARTED: "0x30"}, {ASIDE: "0x20 1x10", STARTED: "0x30"}),
    # The count of a process that was set aside before its first scrape; and one that is news no longer.
    ("HeliographRecordSetAside", {ASIDE: "1x30", STARTED: "-7200x30"}, {ASIDE: "1x30", STARTED: "0x30"}),
    (
        "HeliographContactFrozen",
        {f"heliograph_worker_contacts_frozen{WORKER}}}": "0x30"},
        {f"heliograph_worker_contacts_frozen{WORKER}}}": "0x20 1x10"},
    ),
    (
        "HeliographFaultContained",
        {f'heliograph_worker_faults_contained_total{WORKER},work="lister"}}': "0x30"},
        {f'heliograph_worker_faults_contained_total{WORKER},work="lister"}}': "0x25 1x5"},
    ),
    (
        "HeliographRecordRefusedByKafka",
        {f"heliograph_ingress_refused_records_total{INGRESS}}}": "3x30"},
        {f"heliograph_ingress_refused_records_total{INGRESS}}}": "0x25 1x5"},
    ),
    # A restart of the writer is no trouble.
    (
        "HeliographReadModelBehind",
        {f"heliograph_ingress_read_model_behind{INGRESS}}}": "0x10 1x3 0x17"},
        {f"heliograph_ingress_read_model_behind{INGRESS}}}": "0x20 1x10"},
    ),
    (
        "HeliographOpenTransaction",
        {f"heliograph_ingress_held_partitions{INGRESS}{TOPIC}": "0x30"},
        {f"heliograph_ingress_held_partitions{INGRESS}{TOPIC}": "0x25 1x5"},
    ),
]


def judged(alert: str, series: Series, expected: int) -> dict[str, Any]:
    """One unit test of promtool: how many alerts of this name fire after 29 minutes."""
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    samples = [{"labels": "{}", "value": expected}]
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": "29m", "exp_samples": samples}],
    }


def test_every_case_is_of_an_alert_that_there_is() -> None:
    assert {alert for alert, _, _ in CASES} <= {rule["alert"] for rule in rules()}


def test_an_alert_fires_on_trouble_and_not_without_it(tmp_path: Path) -> None:
    if not (tool := shutil.which("promtool")):
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    tests = [judged(alert, quiet, 0) for alert, quiet, _ in CASES]
    tests += [judged(alert, troubled, 1) for alert, _, troubled in CASES]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([tool, "test", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
