"""One connection to Kafka: an idempotent producer that is thrown away whole once it fails.

An idempotent producer of aiokafka never gives up on a batch, and after a batch is lost every later one of that
partition is refused (out of order sequence). So a line that failed is dropped, and a new one gets a new producer id.
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, PolicyViolationError, RecordListTooLargeError
from aiokafka.partitioner import murmur2

from app.ingress.durable.record import LogRecord

CLOSE_S = 5.0
REQUEST_MS = 5_000
# Faults of the way to Kafka: the line is of no use any more.
BROKEN = (KafkaError, OSError, TimeoutError)
# Among them, what is the fault of a record: Kafka would refuse it on every line.
REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, PolicyViolationError)


Batch = tuple[Any, str, int, list["asyncio.Future[None]"]]


@lru_cache(maxsize=1 << 14)
def partition_of(key: bytes, count: int) -> int:
    """As Kafka's default partitioner has it (murmur2 of the key, sign bit off)."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)


class ProducerConnection:
    """Open it with `ProducerConnection.open`, inside the running loop."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._waiting: list[tuple[LogRecord, asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._counts: dict[str, int] = {}
        self._fault: KafkaError | OSError | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, **client: Any) -> "ProducerConnection":
        """Connected, with a producer id. Raises one of BROKEN."""
        line = cls(
            AIOKafkaProducer(
                acks="all",
                enable_idempotence=True,
                max_batch_size=1 << 18,
                max_request_size=1 << 21,
                request_timeout_ms=REQUEST_MS,
                **client,
            )
        )
        try:
            await line._producer.start()
        except BaseException:
            await line.drop()
            raise
        return line

    def enter(self, record: LogRecord) -> "asyncio.Future[None]":
        """In its place when it returns, acknowledged when the future is done; a line that broke fails the future.

        What gathers while a request is under way leaves together, a batch per partition: aiokafka's own way costs each
        record as much as the rest of a callback.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        if self._fault is not None:
            future.set_exception(self._fault)
            return future
        self._waiting.append((record, future))
        if self._sending is None:
            self._sending = self._loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            try:
                await self._send(taken)
            except BROKEN as error:
                self._break(error, taken)
        self._sending = None

    def _break(self, error: KafkaError | OSError, taken: list[tuple[LogRecord, "asyncio.Future[None]"]]) -> None:
        """Nothing may leave behind what did not."""
        self._fault, waiting, self._waiting = error, self._waiting, []
        for _, future in (*taken, *waiting):
            if not future.done():
                future.set_exception(error)

    async def _send(self, taken: list[tuple[LogRecord, "asyncio.Future[None]"]]) -> None:
        """Raises one of BROKEN; those that were acknowledged before are done."""
        groups: dict[tuple[str, int], list[tuple[LogRecord, asyncio.Future[None]]]] = {}
        for record, future in taken:
            where = record.topic, partition_of(record.key, await self._count(record.topic))
            groups.setdefault(where, []).append((record, future))
        batches = [batch for (topic, number), rows in groups.items() for batch in self._batches(topic, number, rows)]
        acks = [await self._producer.send_batch(batch, topic, partition=number) for batch, topic, number, _ in batches]
        for acked, (_, _, _, futures) in zip(acks, batches, strict=True):
            await acked
            for future in futures:
                if not future.done():
                    future.set_result(None)

    def _batches(self, topic: str, number: int, rows: list[tuple[LogRecord, "asyncio.Future[None]"]]) -> list[Batch]:
        """As many as it takes; a record that no batch holds is refused as Kafka would."""
        batch, futures, batches = self._producer.create_batch(), list[asyncio.Future[None]](), list[Batch]()
        for record, future in rows:
            given = {"key": record.key, "value": record.value, "timestamp": None, "headers": record.headers}
            if batch.append(**given) is None:
                batches.append((batch, topic, number, futures))
                batch, futures = self._producer.create_batch(), []
                if batch.append(**given) is None:
                    raise MessageSizeTooLargeError
            futures.append(future)
        return [*batches, (batch, topic, number, futures)]

    async def _count(self, topic: str) -> int:
        if topic not in self._counts:
            self._counts[topic] = len(await self._producer.partitions_for(topic))
        return self._counts[topic]

    async def send_all(self, records: Sequence[LogRecord]) -> None:
        """All acknowledged, in order within each partition. Raises KafkaError; may take for ever."""
        futures = [self.enter(record) for record in records]
        for outcome in await asyncio.gather(*futures, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def close(self) -> None:
        """Flush, then close."""
        try:
            async with asyncio.timeout(CLOSE_S):
                if self._sending is not None:
                    await self._sending
                await self._producer.stop()
        except TimeoutError:
            await self.drop()

    async def drop(self) -> None:
        """Close without sending what waits: it is in the spool by now, and must not come again behind it."""
        if self._sending is not None:
            self._sending.cancel()
        # aiokafka's own stop() waits for all that waits, for as long as the broker is away.
        self._producer._closed = True
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._producer._sender.close()
        except BROKEN:
            pass  # the line is dropped because it is broken
        finally:
            await self._producer.client.close()
