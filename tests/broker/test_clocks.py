"""Brokers whose clocks differ by more than claim_ttl: how old an input is, is measured on our own clock alone."""

import json
from pathlib import Path
from urllib.request import urlopen

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from app import clock
from app.dev.dev_cluster import DevCluster
from app.streams.engine.append_times import AppendTimes, observe_fetches
from app.streams.engine.producer import partition_of
from tests.support.cluster import event, prefix, produce, read, records, standing
from tests.support.engine_lab import EngineLab, until

COUNT = 10


def keep_the_producers_time(stand: DevCluster, topic: str) -> None:
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, prefix(stand) + topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": stand.env["KAFKA_BOOTSTRAP_SERVERS"]})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result()

    def in_force() -> bool:
        [told] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, prefix(stand) + topic)]).values()
        return bool(told.result()["message.timestamp.type"].value == "CreateTime")

    until(in_force)


def test_a_broker_whose_clock_is_a_minute_behind_the_others_stops_nothing(kafka: str, tmp_path: Path) -> None:
    program, mix = ("-m", "tests.support.skewed"), ["--mix", '{"delivered": 1.0}']
    with standing(kafka, tmp_path, program=program, simulator=mix) as stand:
        keep_the_producers_time(stand, "contacts")
        produce(stand, *(event(n) for n in range(COUNT)))
        until(lambda: len(read(stand, "notify.outcomes")) >= COUNT)
        outcomes = read(stand, "notify.outcomes")
        said = urlopen(stand.addresses()["simulator"] + "/_sim/creates").read()
        behind = max(r.timestamp()[1] for r in records(stand, "contacts"))
        ahead = max(r.timestamp()[1] for r in records(stand, "notify.updates"))
    assert ahead - behind > 50_000
    assert {(o["outcome"], len(o["attempts"])) for o in outcomes} == {("delivered", 1)}
    assert len(json.loads(said)["creates"]) == COUNT


async def test_what_was_there_before_has_no_known_age_and_what_came_later_has(lab: EngineLab) -> None:
    topic, place = lab.prefix + "in", TopicPartition(lab.prefix + "in", partition_of(b"k", lab.partitions))
    lab.produce_to([b"k"] * 3)
    times = AppendTimes()
    consumer = AIOKafkaConsumer(bootstrap_servers=lab.servers, auto_offset_reset="earliest", fetch_max_wait_ms=10)
    await consumer.start()
    try:
        observe_fetches(consumer._client, times, {topic}.__contains__)
        consumer.assign([place])
        assert [(await consumer.getone()).offset for _ in range(3)] == [0, 1, 2]
        assert [times.appended_after(*place, offset) for offset in range(3)] == [None] * 3
        known_s = times.appended_after(*place, 3)
        lab.produce_to([b"k"] * 2)
        acked_s = clock.boot_s()
        assert [(await consumer.getone()).offset for _ in range(2)] == [3, 4]
        bounds = [times.appended_after(*place, offset) for offset in range(3, 5)]
    finally:
        await consumer.stop()
    assert known_s is not None and all(bound is not None and known_s <= bound <= acked_s for bound in bounds)
