"""The pseudonym key is for life: a process with another key than the contact log's refuses to start."""

from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.records.codec import Unreadable, decode


class _Stamped(msgspec.Struct):
    pk: str


_stamped = msgspec.json.Decoder(_Stamped)
# Of each partition's end: each costs a request, and more than one is read only where there is poison.
LOOKED_AT = 50


async def foreign_fingerprint(topic: str, fingerprint: str, **client: Any) -> str | None:
    """The fingerprint that the last readable record of some partition of `contacts` carries, if it is not ours."""
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **client)
    try:
        await consumer.start()
        numbers = await _partitions(consumer, topic)
        ends = await consumer.end_offsets(numbers)
        starts = await consumer.beginning_offsets(numbers)
        for where in (n for n in numbers if ends[n] > starts[n]):
            consumer.assign([where])
            found = await _last(consumer, where, max(starts[where], ends[where] - LOOKED_AT), ends[where])
            if found not in (None, fingerprint):
                return found
        return None
    finally:
        await consumer.stop()


async def _last(consumer: AIOKafkaConsumer, where: TopicPartition, start: int, end: int) -> str | None:
    """The fingerprint of the last record in this span that can be read; a poison record is no reason not to start."""
    for offset in range(end - 1, start - 1, -1):
        consumer.seek(where, offset)
        record = await consumer.getone(where)
        try:
            stamped: _Stamped = decode(_stamped, record.value)
        except Unreadable:
            continue
        return stamped.pk
    return None


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    await consumer._client.add_topic(topic)
    return [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
