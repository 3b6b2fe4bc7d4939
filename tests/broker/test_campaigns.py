"""A campaign of one tenant, a real worker: another tenant does not wait for it, and a kill loses none of it."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.request import urlopen

import pytest
from confluent_kafka import Consumer, TopicPartition

from app.dev.broker import free_port
from app.dev.dev_cluster import DevCluster
from app.dev.process_env import simulated
from tests.support.cluster import prefix, produce, read, standing
from tests.support.commands import heliograph
from tests.support.engine_lab import until

REQUESTS, RECIPIENTS = 48, 50
ALL = REQUESTS * RECIPIENTS
TENANT = """
[tenants.{name}]
shared_requests = true
account_sid = "{TWILIO_ACCOUNT_SID}"
auth_tokens = ["{TWILIO_AUTH_TOKEN}"]
status_callback_url = "{TWILIO_STATUS_CALLBACK_URL}/{name}"
inbound_url = "{TWILIO_INBOUND_WEBHOOK_PUBLIC_URL}/{name}"
[tenants.{name}.lanes.main]
messaging_service_sid = "{TWILIO_MESSAGING_SERVICE_SID}"
rate = {rate}
"""
OTP = {"type": "notify.requested.v1", "tenant": "beta", "to": "+12125550199", "body": "Your code is 742.",
       "category": "otp", "priority": "urgent", "idempotency_key": "code"}  # fmt: skip
# Parked as well, by another tenant.
ALERT = {"type": "notify.requested.v1", "tenant": "beta", "to": [f"+1212555{n:04d}" for n in range(100, 140)],
         "body": "Shop 7 is down.", "category": "alert", "idempotency_key": "alert"}  # fmt: skip
UNKNOWN = f"{'0' * 20}-{'0' * 20}"


def campaign(n: int) -> dict[str, Any]:
    people = [f"+1415555{number:04d}" for number in range(n * RECIPIENTS, (n + 1) * RECIPIENTS)]
    return {"type": "notify.requested.v1", "tenant": "acme", "to": people, "body": f"Spring sale {n}.",
            "category": "marketing", "campaign": "spring"}  # fmt: skip


@pytest.fixture
def stand(kafka: str, tmp_path: Path) -> Iterator[DevCluster]:
    path = tmp_path
    ports = {"ingress": free_port(), "simulator": free_port()}
    given = simulated(*ports.values())
    file = path / "tenants.toml"
    file.write_text("".join(TENANT.format(name=name, rate=rate, **given) for name, rate in (("acme", 1), ("beta", 0))))
    extra = {"HELIOGRAPH_CONFIG": str(file), "HELIOGRAPH_BULK_RATE": "400", "HELIOGRAPH_SESSION_TIMEOUT_S": "4"}
    with standing(kafka, path, extra=extra, ports=ports, simulator=["--mix", '{"delivered": 1.0}']) as made:
        yield made


def length(stand: DevCluster, topic: str) -> int:
    """Records on a topic now."""
    consumer = Consumer({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"], "group.id": "site"})
    places = [TopicPartition(prefix(stand) + topic, number) for number in range(8)]
    total = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    consumer.close()
    return total


def creates(stand: DevCluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(urlopen(stand.addresses()["simulator"] + "/_sim/creates").read())[
        "creates"
    ]
    return found


def command(stand: DevCluster, *words: str) -> "CompletedProcess[str]":
    return heliograph(*words, **stand.env)


def test_a_campaign_delays_no_other_tenant_and_a_kill_loses_and_doubles_none_of_it(
    stand: DevCluster, tmp_path: Path
) -> None:
    produce(stand, *(campaign(n) for n in range(REQUESTS)), ALERT, OTP)
    until(lambda: Counter(made["body"] for made in creates(stand)) >= Counter({OTP["body"]: 1, ALERT["body"]: 40}))
    assert length(stand, "contacts") < ALL / 2, "most of the campaign is parked still"
    until(lambda: length(stand, "contacts") > ALL / 4)
    stand.parts["worker-1"].kill()
    assert 0 < length(stand, "contacts") < ALL, "in the middle of it"
    no_worker_yet(stand, tmp_path)
    stand.parts["worker-1"].restart()
    until(lambda: len(asked_for(stand, "lanes", "lane.asked.v1")) == ALL + 21, 90)
    inputs = asked_for(stand, "contacts", "contact.requested.v1")
    assert len(inputs) == ALL + 21 and len({record["message_id"] for record in inputs.values()}) == ALL + 21
    assert read(stand, "notify.deadletters") == []
    texts = Counter(made["to"] for made in creates(stand))
    assert set(texts) >= {OTP["to"], *ALERT["to"]} and set(texts.values()) == {1}
    parked_in_clear(stand)


def no_worker_yet(stand: DevCluster, path: Path) -> None:
    """What is said of a message that is parked still."""
    told = command(stand, "explain", UNKNOWN)
    assert told.returncode == 1 and "not expanded yet: " in told.stderr
    people = path / "people.jsonl"
    people.write_text(json.dumps({**campaign(0), "to": [f"+1303555{n:04d}" for n in range(100, 121)]}))
    sent = command(stand, "send", str(people), "--wait", "--timeout", "4", "--json")
    assert {json.loads(line)["waits"].partition(":")[0] for line in sent.stdout.splitlines()} == {"not expanded yet"}


def asked_for(stand: DevCluster, topic: str, kind: str) -> dict[str, dict[str, Any]]:
    """Tenant acme's records of a type, one for each message."""
    found = [record for record in read(stand, topic) if record["type"] == kind and record["tenant"] == "acme"]
    return {record["message_id"]: record for record in found}


def parked_in_clear(stand: DevCluster) -> None:
    parked = read(stand, "bulk")
    assert {record["type"] for record in parked} == {"bulk.parked.v1"} and len(
        {r["id"] for r in parked}
    ) == REQUESTS + 2
    assert "+1415" not in json.dumps(parked)
