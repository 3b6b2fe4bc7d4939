"""`heliograph demo` as somebody meets it first: what it says, what it exits with, what it leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

from confluent_kafka.admin import AdminClient

from tests.support.commands import ROOT

SHARES = {"p50", "p95", "p99"}


def test_a_demo_says_in_one_line_what_came_of_it_and_leaves_nothing(kafka: str, tmp_path: Path) -> None:
    before = topics(kafka)
    # Nothing of what surrounds it may reach it.
    env = {"PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": kafka, "TMPDIR": str(tmp_path)}
    env |= {"TWILIO_ACCOUNT_SID": "AC" + "f" * 32, "HELIOGRAPH_RATE": "none", "PORT": "1"}
    command = [sys.executable, "-m", "app", "demo", "--messages", "60", "--seed", "7", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    broken = ("duplicate_creates", "missing_outcomes", "duplicate_outcomes", "sends_after_stop")
    assert {name: told.pop(name) for name in broken} == dict.fromkeys(broken, 0)
    assert told.pop("messages") == 60 == sum(told["outcomes"].values())
    assert told.pop("outcomes").keys() >= {"delivered", "suppressed", "rejected"}
    assert 0 < told.pop("creates") < 60 and told.pop("messages_per_second") > 0
    latencies = told.pop("latency_ms")
    assert latencies.keys() == {"request_to_create", "request_to_outcome"} and told == {}
    assert all(shares.keys() == SHARES for shares in latencies.values())
    assert topics(kafka) == before and list(tmp_path.iterdir()) == []


def topics(kafka: str) -> set[str]:
    return {
        name for name in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics if "demo-" in name
    }
