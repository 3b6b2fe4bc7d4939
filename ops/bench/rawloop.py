"""The floor: consume, fold a status by rank into a dict, produce changelog and outcome in batches, with aiokafka alone.

Run as a process: `python ops/bench/rawloop.py SERVERS SOURCE SINK CHANGELOG COUNT`; prints records per second.
"""

import asyncio
import gc
import sys
import time

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.domain.model.inputs import DeliveryReported


class State(msgspec.Struct):
    """What the raw loop keeps of an attempt."""

    sid: str
    rank: int
    status: str
    seen: int


class Said(msgspec.Struct):
    """What the raw loop produces when the rank rises."""

    message_id: str
    sid: str
    status: str
    rank: int


_report = msgspec.json.Decoder(DeliveryReported).decode
_state = msgspec.json.Decoder(State).decode
_encode = msgspec.json.Encoder().encode


def fold(previous: bytes | None, value: bytes) -> tuple[bytes, bytes | None]:
    """One report: the new state, and an output when the rank rose."""
    report = _report(value)
    if previous is None:
        state = State(report.sid, report.progress, report.status, 1)
    else:
        state = _state(previous)
        state.seen += 1
        if report.progress <= state.rank:
            return _encode(state), None
        state.rank, state.status = report.progress, report.status
    return _encode(state), _encode(Said(report.message_id, report.sid, report.status, report.progress))


class Batches:
    """Client-side batches for one partition of one topic."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int, acks: list) -> None:
        self._producer, self._where, self._acks = producer, (topic, partition), acks
        self._batch = producer.create_batch()

    async def append(self, key: bytes, value: bytes) -> None:
        if self._batch.append(key=key, value=value, timestamp=None) is None:
            await self.send()
            self._batch = self._producer.create_batch()
            self._batch.append(key=key, value=value, timestamp=None)

    async def send(self) -> None:
        if self._batch.record_count():
            self._acks.append(await self._producer.send_batch(self._batch, self._where[0], partition=self._where[1]))


async def main(servers: str, source: str, sink: str, changelog: str, count: int) -> None:
    given = {"bootstrap_servers": servers}
    consumer = AIOKafkaConsumer(group_id=None, auto_offset_reset="earliest", max_partition_fetch_bytes=1 << 20, **given)
    producer = AIOKafkaProducer(acks="all", enable_idempotence=True, max_batch_size=1 << 20, **given)
    await producer.start()
    await consumer.start()
    await consumer._client.add_topic(source)
    consumer.assign([TopicPartition(source, n) for n in consumer.partitions_for_topic(source)])
    states: dict[bytes, bytes] = {}
    seen, began = 0, None
    while seen < count:
        fetched = await consumer.getmany(timeout_ms=500, max_records=4000)
        began = began or (time.perf_counter() if fetched else None)
        acks: list = []
        for tp, records in fetched.items():
            log, out = (Batches(producer, topic, tp.partition, acks) for topic in (changelog, sink))
            for record in records:
                if b"contact.reported.v1" not in record.value:
                    continue
                states[record.key], said = fold(states.get(record.key), record.value)
                await log.append(record.key, states[record.key])
                if said is not None:
                    await out.append(record.key, said)
                seen += 1
            await log.send()
            await out.send()
        await asyncio.gather(*acks)
    print(seen / (time.perf_counter() - began), flush=True)
    await consumer.stop()
    await producer.stop()


if __name__ == "__main__":
    gc.freeze()
    uvloop.run(main(*sys.argv[1:5], int(sys.argv[5])))
