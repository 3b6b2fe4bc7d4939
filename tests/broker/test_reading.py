"""Whatever a Kafka producer may write is read: codecs, transactions, headers; what inflates too much is set aside."""

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from confluent_kafka import Producer

from app.kafka.partition_reader import PartitionReader
from tests.support.batches import ProducedBatch, batch, inflating
from tests.support.engine_lab import EngineLab, until

CODECS = ("gzip", "snappy", "lz4", "zstd")


class Values:
    """Values that say what they are, each once."""

    def __init__(self) -> None:
        self._numbers = count()
        self.expected: set[bytes] = set()

    def some(self, what: str, many: int = 20, *, read: bool = True) -> list[bytes]:
        made = [f"{what}.{next(self._numbers)}.{'x' * 200}".encode() for _ in range(many)]
        self.expected |= set(made) if read else set()
        return made


def send(producer: Producer, lab: EngineLab, values: list[bytes], **given: Any) -> None:
    for n, value in enumerate(values):
        producer.produce(lab.prefix + "in", key=b"k%d" % n, value=value, **given)
    assert producer.flush(30) == 0


def client(lab: EngineLab, **given: Any) -> Producer:
    return Producer({"bootstrap.servers": lab.servers, "linger.ms": 20, "partitioner": "murmur2_random", **given})


def transactions(lab: EngineLab, values: Values) -> None:
    """Two that interleave: one is committed, one aborted."""
    one, two = (client(lab, **{"transactional.id": f"{lab.prefix}{n}", "compression.type": "lz4"}) for n in range(2))
    for producer in (one, two):
        producer.init_transactions(30)
        producer.begin_transaction()
    send(one, lab, values.some("committed"))
    send(two, lab, values.some("aborted", read=False))
    send(one, lab, values.some("committed"))
    one.commit_transaction(30)
    two.abort_transaction(30)


def aborted(lab: EngineLab, values: Values) -> None:
    """A transaction that was aborted, and nothing after it."""
    producer = client(lab, **{"transactional.id": f"{lab.prefix}aborted"})
    producer.init_transactions(30)
    producer.begin_transaction()
    send(producer, lab, values.some("aborted", read=False))
    producer.abort_transaction(30)


async def raw(lab: EngineLab, *batches: bytes) -> None:
    """Batches that no client makes, to partition 0, each in a request of its own."""
    kafka = AIOKafkaClient(bootstrap_servers=lab.servers)
    await kafka.bootstrap()
    try:
        for data in batches:
            request = ProduceRequest(None, -1, 10_000, [(lab.prefix + "in", [(0, data)])])
            await kafka.send(kafka.get_random_node(), request)
    finally:
        await kafka.close()


def lag(lab: EngineLab) -> int:
    return sum(lab.ends("in").values()) - lab.committed()


def headers(lab: EngineLab) -> Iterator[tuple[str, str]]:
    for _, _, value, *text in lab.notes("headers"):
        yield value.partition(".")[0], " ".join(text)


def test_all_that_producers_write_is_read_and_nothing_stops_the_worker(lab: EngineLab) -> None:
    values = Values()
    toy = lab.toy("a")
    for codec in CODECS:
        send(client(lab, **{"compression.type": codec}), lab, values.some(codec, 100))
    for codec in CODECS:
        lab.configure("in", "compression.type", codec)
        send(client(lab), lab, values.some(f"topic-{codec}"))
    transactions(lab, values)
    until(lambda: lag(lab) == 0)
    aborted(lab, values)
    until(lambda: lag(lab) == 0)
    [last] = values.some("null", 1)
    send(client(lab), lab, [last], headers=[("h", None), ("h", b"1"), ("h", b"")])
    [named] = values.some("bytes", 1)
    lab.configure("in", "compression.type", "producer")
    asyncio.run(raw(lab, batch(0, [ProducedBatch(b"k0", named, [("h\udcff", b"1")])]), inflating(0, 100)))
    send(client(lab), lab, values.some("after"))
    until(lambda: lag(lab) == 0)
    assert lab.outputs() == values.expected
    assert dict(headers(lab)) == {"null": '[["h", null], ["h", "1"], ["h", ""]]', "bytes": '[["h\\udcff", "1"]]'}
    [(*_, letter)] = lab.read("dead")
    assert b"with 1 records" in (letter or b"") and b"inflates to more than" in (letter or b"")
    assert not toy.ended()


def test_an_open_transaction_holds_back_its_partition_and_no_other(lab: EngineLab) -> None:
    lab.toy("a")
    values = Values()
    producer = client(lab, **{"transactional.id": lab.prefix})
    producer.init_transactions(30)
    producer.begin_transaction()
    send(producer, lab, values.some("open", 3), partition=0)
    send(client(lab), lab, values.some("behind", 2), partition=0)
    beside = values.some("beside", 1)
    send(client(lab), lab, beside, partition=1)
    until(lambda: set(beside) <= lab.outputs())
    assert not any(value.startswith((b"open", b"behind")) for value in lab.outputs())
    assert [r.value for r in asyncio.run(committed(lab))] == []
    producer.commit_transaction(30)
    until(lambda: lag(lab) == 0)
    assert lab.outputs() == values.expected
    assert len(asyncio.run(committed(lab))) == 5


async def committed(lab: EngineLab) -> list[Any]:
    """What our own tools read of partition 0."""
    async with PartitionReader({"bootstrap_servers": lab.servers}) as logs:
        topic = lab.prefix + "in"
        return [r async for records in logs.read(topic, 0, *await logs.span(topic, 0)) for r in records]
