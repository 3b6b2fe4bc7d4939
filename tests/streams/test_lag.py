"""Consumer lag and the poison guard's counts, as a worker exposes them."""

from collections import Counter

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from app.kafka.group_progress import Offsets
from app.streams.monitoring.lag import LagCollector, PoisonCollector
from tests.support.bridged import Samples
from tests.support.groups import TOPIC, FakeGroup, monitor


def exposed(collector: Collector) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(collector)
    return Samples(generate_latest(registry).decode())


async def test_the_lag_is_of_the_partitions_that_run_here_alone_and_none_before_kafka_was_read() -> None:
    watching = monitor(FakeGroup(1, Offsets(5, 9, 9), Offsets(0, 100, 100), Offsets(3, 5, 9)))
    collector = LagCollector(watching, lambda _, number: number != 1)
    assert exposed(collector) == {}
    await watching.look()
    assert exposed(collector) == {f"heliograph_worker_consumer_lag_records{{topic={TOPIC}}}": 6}


def test_what_was_set_aside_is_counted_by_topic_from_zero_and_frozen_contacts_are_told() -> None:
    aside, frozen = Counter({TOPIC: 0}), [0]
    collector = PoisonCollector(aside, lambda: frozen[0])
    name = f"heliograph_worker_records_set_aside_total{{topic={TOPIC}}}"
    assert exposed(collector) == {name: 0, "heliograph_worker_contacts_frozen{}": 0}
    aside[TOPIC] += 1
    frozen[0] = 3
    assert exposed(collector) == {name: 1, "heliograph_worker_contacts_frozen{}": 3}
