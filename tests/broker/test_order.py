"""Texts to one person leave in the order in which they were asked for, if their producer keys by recipient."""

import json
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from app.dev.dev_cluster import DevCluster
from tests.broker.test_pipeline import creates
from tests.support.cluster import event, prefix, standing
from tests.support.engine_lab import until

PAIRS = 30


@pytest.fixture(scope="module")
def stand(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    with standing(kafka, tmp_path_factory.mktemp("order"), simulator=["--mix", '{"delivered": 1.0}']) as made:
        yield made


def test_thirty_pairs_produced_back_to_back_leave_in_order(stand: DevCluster) -> None:
    producer = Producer({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"], "linger.ms": 5})
    for n in range(PAIRS):
        for part in ("1/2", "2/2"):
            asked = event(n, body=part, idempotency_key=f"pair-{n}-{part}")
            producer.produce(f"{prefix(stand)}notify.requests", key=asked["to"], value=json.dumps(asked))
    assert producer.flush(20) == 0
    until(lambda: len(creates(stand)) == 2 * PAIRS, 60)
    parts: dict[str, list[str]] = {}
    for create in creates(stand):
        parts.setdefault(create["to"], []).append(create["body"])
    assert len(parts) == PAIRS and set(map(tuple, parts.values())) == {("1/2", "2/2")}
