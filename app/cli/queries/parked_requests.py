"""How many requests of many recipients are parked: what the workers have not expanded yet of topic `bulk`."""

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from app.cli.options.plural import plural
from app.kafka.cluster_check import require_topics
from app.records.topics import Topics


async def parked_requests(topics: Topics, client: dict[str, Any]) -> int:
    """End of the topic minus the group's committed offsets, now. Raises KafkaError, OSError or ClusterMismatchError."""
    await require_topics(client, [topics.bulk])
    done = await _committed(topics.group, client)
    ends = await _ends(topics.bulk, client)
    return sum(max(0, end - done.get(place, first)) for place, (first, end) in ends.items())


async def _committed(group: str, client: dict[str, Any]) -> dict[TopicPartition, int]:
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        found = await admin.list_consumer_group_offsets(group)
        return {place: kept.offset for place, kept in found.items() if kept.offset >= 0}
    finally:
        await admin.close()


async def _ends(topic: str, client: dict[str, Any]) -> dict[TopicPartition, tuple[int, int]]:
    """First and next offset of each partition."""
    consumer = AIOKafkaConsumer(**client)
    try:
        await consumer.start()
        await consumer._client.add_topic(topic)
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        firsts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return {place: (firsts[place], ends[place]) for place in places}
    finally:
        await consumer.stop()


def parked_words(requests: int) -> str:
    """What a message waits for that is not on the contact log yet, while so many requests are parked."""
    parked = plural(requests, "request is", "requests are")
    return f"not expanded yet: {parked} parked, and expanded in the background"
