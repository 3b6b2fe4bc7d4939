"""Producers as teams have them: every codec, idempotent or not, in transactions that commit, abort or are left open."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import Any, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.kafka.decompression import GZIP
from tests.support.batches import ProducedBatch, batch, members
from tests.support.fuzzed_record import FuzzedRecord

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# Of a client, before it compresses. The topic's own bound is of the batch as it is stored.
CLIENT_BYTES, WAIT_S = 16 << 20, 30
TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)
RAW_TOO_LARGE = 10  # MESSAGE_TOO_LARGE of the protocol


class WriteMethod(StrEnum):
    """How a lot is produced. LEFT_OPEN: the next producer of its id, or the broker after some time, aborts it. BYTES:
    encoded here and sent as one batch, for what no client writes."""

    PLAIN = "plain"
    IDEMPOTENT = "idempotent"
    COMMITTED = "committed"
    ABORTED = "aborted"
    LEFT_OPEN = "left open"
    BYTES = "bytes"


class WrittenRecord(NamedTuple):
    """A record that Kafka took, and where it stands. `committed`: readers must see it."""

    record: FuzzedRecord
    topic: str
    partition: int
    offset: int
    committed: bool

    @property
    def place(self) -> str:
        """topic-partition-offset."""
        return f"{self.topic}-{self.partition}-{self.offset}"


class FuzzProducers:
    """`prefix`: of transactional ids. `refused`: how many records Kafka did not take for their size."""

    def __init__(self, servers: str, prefix: str, rng: Random) -> None:
        self._servers, self._prefix, self._rng = servers, prefix, rng
        self._clients: dict[tuple[str, WriteMethod], Producer] = {}
        self._left_open: list[Producer] = []
        self.refused = 0

    def write(self, topic: str, records: Sequence[FuzzedRecord], codec: str, way: WriteMethod) -> list[WrittenRecord]:
        """Produce a lot; what of it Kafka took."""
        if way is WriteMethod.BYTES:
            return asyncio.run(self._write_bytes(topic, records, CODECS.index(codec)))
        producer = self._client(codec, way)
        transaction = way not in (WriteMethod.PLAIN, WriteMethod.IDEMPOTENT)
        if transaction:
            producer.begin_transaction()
        written = self._produce(
            producer, topic, records, committed=way not in (WriteMethod.ABORTED, WriteMethod.LEFT_OPEN)
        )
        if way is WriteMethod.LEFT_OPEN:  # its process is gone, as far as Kafka can tell
            self._left_open.append(self._clients.pop((codec, way)))
        elif transaction:
            producer.commit_transaction(WAIT_S) if way is WriteMethod.COMMITTED else producer.abort_transaction(WAIT_S)
        return written

    def fence(self) -> None:
        """End the transactions that were left open, as a producer does that starts again. The broker ended the others."""
        for codec in CODECS:
            self._client(codec, WriteMethod.LEFT_OPEN)

    def _client(self, codec: str, way: WriteMethod) -> Producer:
        """The producer that stands for this way, begun anew after one that left its transaction open."""
        if (codec, way) not in self._clients:
            given: dict[str, Any] = {"bootstrap.servers": self._servers, "compression.type": codec, "linger.ms": 5,
                                     "message.max.bytes": CLIENT_BYTES}  # fmt: skip
            if way is WriteMethod.IDEMPOTENT:
                given["enable.idempotence"] = True
            elif way is not WriteMethod.PLAIN:
                given |= {"transactional.id": f"{self._prefix}{codec}-{way}", "transaction.timeout.ms": 5000}
            made = self._clients[codec, way] = Producer(given)
            if way not in (WriteMethod.PLAIN, WriteMethod.IDEMPOTENT):
                made.init_transactions(WAIT_S)
        return self._clients[codec, way]

    def _produce(
        self, producer: Producer, topic: str, records: Sequence[FuzzedRecord], *, committed: bool
    ) -> list[WrittenRecord]:
        written: list[WrittenRecord] = []
        for record in records:

            def done(error: KafkaError | None, sent: Message, record: FuzzedRecord = record) -> None:
                self._done(error, WrittenRecord(record, topic, sent.partition(), sent.offset(), committed), written)

            where = {} if record.key is not None else {"partition": self._rng.randrange(8)}
            try:
                producer.produce(topic, record.value, record.key, headers=record.headers, on_delivery=done, **where)
            except KafkaException as error:
                self._take_refusal(error.args[0])
        assert producer.flush(WAIT_S) == 0
        return written

    def _done(self, error: KafkaError | None, one: WrittenRecord, written: list[WrittenRecord]) -> None:
        if error is None:
            written.append(one)
        else:
            self._take_refusal(error)

    def _take_refusal(self, error: KafkaError) -> None:
        if error.code() not in TOO_LARGE:
            raise KafkaException(error)
        self.refused += 1

    async def _write_bytes(self, topic: str, records: Sequence[FuzzedRecord], codec: int) -> list[WrittenRecord]:
        number = self._rng.randrange(8)
        made = [ProducedBatch(r.key, r.value, r.headers) for r in records]
        data = members(made) if codec == GZIP else batch(0, made, codec)
        client = AIOKafkaClient(bootstrap_servers=self._servers)
        await client.bootstrap()
        try:
            request = ProduceRequest(None, -1, WAIT_S * 1000, [(topic, [(number, data)])])
            response = await client.send(client.get_random_node(), request)
        finally:
            await client.close()
        [(_, [(_, error, first, *_)])] = response.topics
        assert error in (0, RAW_TOO_LARGE), error
        self.refused += len(records) if error else 0
        return (
            [] if error else [WrittenRecord(record, topic, number, first + n, True) for n, record in enumerate(records)]
        )
