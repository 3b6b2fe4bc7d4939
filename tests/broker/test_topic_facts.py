"""What a real broker tells of topics: ids, as librdkafka reads them too, and how long tombstones are kept."""

from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import TopicCollection

from app.kafka.topic_facts import tombstones_kept_ms, topic_ids
from tests.support.engine_lab import EngineLab


async def test_a_topic_has_an_id_of_its_own_and_says_how_long_it_keeps_tombstones(lab: EngineLab) -> None:
    names = [lab.prefix + name for name in ("in", "out", "app-state-changelog")]
    lab.configure("app-state-changelog", "delete.retention.ms", "123")
    told = lab.admin.describe_topics(TopicCollection(names))
    admin = AIOKafkaAdminClient(bootstrap_servers=lab.servers)
    await admin.start()
    try:
        ids = await topic_ids(admin, [*names, lab.prefix + "none"])
        kept = await tombstones_kept_ms(admin, names[1:])
    finally:
        await admin.close()
    most, least = 1 << 64, {name: future.result().topic_id for name, future in told.items()}
    wanted = {
        name: UUID(int=(one.get_most_significant_bits() % most << 64) + one.get_least_significant_bits() % most)
        for name, one in least.items()
    }
    assert ids == {name: one.hex for name, one in wanted.items()} and len(set(ids.values())) == 3
    assert kept == {names[1]: 86_400_000, names[2]: 123}
