"""The pseudonym key is for life: a process with another key than the contact log's refuses to start."""

from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition


class _Stamped(msgspec.Struct):
    pk: str


_decoder = msgspec.json.Decoder(_Stamped)


async def foreign_fingerprint(topic: str, fingerprint: str, **client: Any) -> str | None:
    """The fingerprint that the last record of some partition of `contacts` carries, if it is not ours."""
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **client)
    try:
        await consumer.start()
        numbers = await _partitions(consumer, topic)
        ends = await consumer.end_offsets(numbers)
        starts = await consumer.beginning_offsets(numbers)
        for where in (n for n in numbers if ends[n] > starts[n]):
            consumer.assign([where])
            consumer.seek(where, ends[where] - 1)
            record = await consumer.getone(where)
            found = _decoder.decode(record.value or b'{"pk":""}').pk
            if found != fingerprint:
                return found
        return None
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    await consumer._client.add_topic(topic)
    return [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
