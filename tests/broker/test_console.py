"""Anybody's Kafka client will do: Kafka's own console producer asks, Kafka's own console consumer tells the outcome."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.dev.dev_cluster import DevCluster
from tests.support.cluster import prefix, standing
from tests.support.commands import ROOT

LINES = b"""{"type":"notify.requested.v1","to":"+12125550178","body":"From the console.","idempotency_key":"plain"}
{"to":"+12125550179"}
"""


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    mix = ["--mix", '{"delivered": 1.0}']
    with standing(kafka, tmp_path_factory.mktemp("console"), simulator=mix) as made:
        console(made, "producer", "notify.requests", said=LINES)
        yield made


def console(stand: DevCluster, tool: str, topic: str, *words: str, said: bytes = b"") -> bytes:
    """What `heliograph kafka console-...`, the class of Kafka's jars, says."""
    command = [sys.executable, "-m", "app", "kafka", f"console-{tool}", "--topic", prefix(stand) + topic, *words]
    env = {**stand.env, "HOME": str(Path.home())}
    # The producer is told by the environment, the consumer by its argument.
    servers = ["--bootstrap-server", env.pop("KAFKA_BOOTSTRAP_SERVERS")] if tool == "consumer" else []
    done = subprocess.run([*command, *servers], input=said, cwd=ROOT, env=env, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def first(stand: DevCluster, topic: str) -> dict[str, Any]:
    """The first record that the console consumer shows, as it shows it: its key before a tab."""
    shown = ["--from-beginning", "--max-messages", "1", "--property", "print.key=true"]
    key, _, value = console(stand, "consumer", topic, *shown, "--timeout-ms", "40000").decode().partition("\t")
    return {**json.loads(value), "key": key}


def test_a_consoles_plain_json_without_a_key_ends_as_an_outcome_that_a_console_shows(stand: DevCluster) -> None:
    outcome = first(stand, "notify.outcomes")
    assert (outcome["idempotency_key"], outcome["outcome"], outcome["revision"]) == ("plain", "delivered", 1)
    assert outcome["key"] == outcome["message_id"] and outcome["recipient"]["masked"] == "•••0178"


def test_a_consoles_bad_line_ends_as_a_dead_letter_that_a_console_shows(stand: DevCluster) -> None:
    letter = first(stand, "notify.deadletters")
    assert (letter["field"], letter["rule"]) == ("type", "is required")
