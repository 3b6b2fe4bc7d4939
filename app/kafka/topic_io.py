"""Reading and writing topics from the command line, with aiokafka."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.kafka.batch_fetching import read_in_turns
from app.kafka.cluster_check import require_topics


async def produce(
    records: Sequence[tuple[str, bytes]], client: dict[str, Any], acked: Callable[[], None] = lambda: None
) -> int:
    """Produce topics and values, and wait for every acknowledgement; `acked` is called for each. Returns the log time
    of the first record in ms, 0 without one. Raises KafkaError if one is refused."""
    producer = AIOKafkaProducer(acks="all", linger_ms=5, max_request_size=1 << 21, **client)
    try:
        await require_topics(client, {topic for topic, _ in records})
        await producer.start()
        under_way = [await producer.send(topic, value) for topic, value in records]
        first_ms = 0
        for acknowledgement in under_way:
            at_ms = int((await acknowledgement).timestamp or 0)
            first_ms = min(first_ms or at_ms, at_ms)
            acked()
        return first_ms
    finally:
        await producer.stop()


async def follow(
    topic: str,
    client: dict[str, Any],
    *,
    from_start: bool,
    forever: bool,
    partition: int | None = None,
    since_ms: int | None = None,
) -> AsyncIterator[tuple[Any, dict[str, Any]]]:
    """Records (with their value parsed) of a topic or one partition: up to its end now, or for ever.

    `since_ms`: only those whose log time is not before it. What is no JSON object is passed over: poison, of which the
    worker made a dead letter. So is what belongs to a transaction that was aborted or is open.
    """
    reset = "earliest" if from_start else "latest"
    consumer = AIOKafkaConsumer(
        enable_auto_commit=False, auto_offset_reset=reset, isolation_level="read_committed", **client
    )
    try:
        await require_topics(client, [topic])
        await consumer.start()
        read_in_turns(consumer)
        await consumer._client.add_topic(topic)
        numbers = [partition] if partition is not None else sorted(consumer.partitions_for_topic(topic) or ())
        places = [TopicPartition(topic, number) for number in numbers]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        if since_ms is not None:
            found = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
            for place, first in found.items():
                consumer.seek(place, first.offset if first else ends[place])
        while forever or any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    if (value := _parsed(record.value)) is not None:
                        yield record, value
    finally:
        await consumer.stop()


def _parsed(value: bytes | None) -> dict[str, Any] | None:
    try:
        parsed = None if value is None else orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


async def partition_of(topic: str, key: bytes, client: dict[str, Any]) -> int:
    """The partition of a key, as every writer of ours has it."""
    from aiokafka.partitioner import murmur2

    consumer = AIOKafkaConsumer(**client)
    try:
        await require_topics(client, [topic])
        await consumer.start()
        await consumer._client.add_topic(topic)
        return int((murmur2(key) & 0x7FFFFFFF) % len(consumer.partitions_for_topic(topic) or {0}))
    finally:
        await consumer.stop()
