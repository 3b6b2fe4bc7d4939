"""The bridge on a real broker: records to /metrics over a socket, killed and started again."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import CollectorRegistry

from app.bridge.counters import Counters
from app.bridge.reader import AGAIN_MS, MetricsReader
from app.internal_server import InternalServer, internal_app
from tests.support.bridged import SHARDS, Samples, Site, metric, this_minute
from tests.support.engine_lab import until

TAKEN = "heliograph_taken_total{country=US,lane=default,tenant=default}"


@pytest.fixture
def site(kafka: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(kafka, tmp_path)
    yield made
    made.close()


def shows(site: Site, value: float, name: str = TAKEN) -> Samples:
    """The first scrape with this value."""
    return until(lambda: found if (found := site.scrape()).get(name) == value else None)


def counting(site: Site) -> Callable[[float], None]:
    """Says and repeats; every value is absolute in a window that is still counted."""
    start = this_minute()

    def say(value: float) -> None:
        site.say(metric("taken", value, window_ms=start), metric("taken", value, window_ms=start))

    return say


def test_known_series_are_there_at_zero_before_any_record(site):
    site.start()
    samples = site.scrape()
    assert samples[TAKEN] == 0 and samples["heliograph_unlisted_total{label=lane}"] == 0


def test_repeated_and_replaced_windows_of_every_shard_count_once(site):
    site.start()
    say = counting(site)
    say(3)
    say(5)
    site.say(*(metric("taken", 10, shard=shard) for shard in range(1, SHARDS)))
    shows(site, 35)
    say(5)
    say(6)
    shows(site, 36)


@pytest.mark.parametrize("killed", [True, False])
def test_a_bridge_that_is_started_again_shows_what_it_showed_and_what_came_meanwhile(site, killed):
    site.start()
    say = counting(site)
    say(4)
    site.say(metric("taken", 2, shard=1), metric("errors", 1, labels={"tenant": "default", "error_code": "30003"}))
    shows(site, 1, "heliograph_errors_total{error_code=30003,tenant=default}")
    before = shows(site, 6)
    (site.part.kill if killed else site.part.stop)()
    site.start()
    assert site.scrape().ours() == before.ours()
    (site.part.kill if killed else site.part.stop)()
    say(9)
    site.start()
    assert site.scrape()[TAKEN] == 11


def test_a_first_start_counts_no_window_that_was_over(site):
    site.say(metric("taken", 50, ago=3))
    site.start()
    site.say(metric("taken", 1))
    shows(site, 1)


def noted(site: Site, since_ms: int, newest_ms: int) -> None:
    """What a bridge would have committed at the topic's end."""
    note = json.dumps({"since_ms": since_ms, "first": 0, "newest_ms": newest_ms})

    async def commit() -> None:
        group = f"{site.prefix}heliograph-bridge"
        consumer = AIOKafkaConsumer(bootstrap_servers=site.servers, group_id=group, enable_auto_commit=False)
        places = [TopicPartition(site.topics.metrics, number) for number in range(SHARDS)]
        consumer.assign(places)
        await consumer.start()
        ends = await consumer.end_offsets(places)
        await consumer.commit({place: OffsetAndMetadata(end, note) for place, end in ends.items()})
        await consumer.stop()

    asyncio.run(commit())


def test_after_a_day_counting_starts_anew_from_zero_with_the_minute_after_the_last_one_read(site):
    last = this_minute() - 120_000
    site.say(metric("taken", 40, window_ms=last))
    noted(site, this_minute() - AGAIN_MS - 60_000, last)
    site.say(metric("taken", 41, window_ms=last), metric("taken", 2, window_ms=last + 60_000))
    site.start()
    samples = shows(site, 2)
    assert samples["heliograph_bridge_since_timestamp_seconds{}"] == (last + 60_000) / 1000


def test_within_a_day_all_windows_since_then_count_again(site):
    last = this_minute() - 60_000
    site.say(metric("taken", 40, window_ms=last))
    noted(site, last, last)
    site.say(metric("taken", 41, window_ms=last), metric("taken", 2, window_ms=last + 60_000))
    site.start()
    assert site.scrape()[TAKEN] == 43


def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(site):
    site.start()
    site.say(b"{broken", metric("guessed", 1), metric("taken", 3))
    assert shows(site, 3)["heliograph_bridge_unknown_total{}"] == 2


async def test_no_metric_is_served_before_the_topic_was_read_and_health_is(site):
    counters, registry = Counters(()), CollectorRegistry()
    registry.register(counters)
    reader = MetricsReader(site.topics.metrics, f"{site.prefix}b", counters, {"bootstrap_servers": site.servers})
    served = InternalServer(internal_app(reader.alive, reader.waiting, registry, reader.waiting), "127.0.0.1", 0)
    await served.listening()
    async with httpx.AsyncClient(base_url=served.url) as client:
        assert [(await client.get(page)).status_code for page in ("/healthz", "/readyz", "/metrics")] == [200, 503, 503]
        await reader.start()
        reading = asyncio.ensure_future(reader.run())
        await reader.ready.wait()
        assert [(await client.get(page)).status_code for page in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
        reading.cancel()
    await reader.stop()
    await served.stop()


def test_without_a_broker_the_bridge_says_so_and_ends(tmp_path):
    from app.dev.broker import free_port
    from app.dev.process import ChildProcess, ProcessError

    env = {"PATH": "/usr/bin:/bin", "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    part = ChildProcess("bridge", ["bridge", "--port", "0"], env, tmp_path / "bridge.log")
    part.start()
    with pytest.raises(ProcessError, match="Kafka"):
        part.wait()
