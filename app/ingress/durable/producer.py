"""One connection to Kafka: an idempotent producer that is discarded after its first error.

aiokafka's idempotent producer retries a batch without limit, and after a lost batch the broker rejects every later one
of that partition (out of order sequence). So a failed connection is dropped, and the next one has a new producer id.
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
# Errors after which the connection cannot be used any more.
BROKEN = (KafkaError, OSError, TimeoutError)
# Those of them that the record causes: Kafka would reject it on every connection.
REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, PolicyViolationError)


Batch = tuple[Any, str, int, list["asyncio.Future[None]"]]


@lru_cache(maxsize=1 << 14)
def partition_of(key: bytes, count: int) -> int:
    """Partition of `key` among `count`, as Kafka's default partitioner computes it (murmur2 without the sign bit)."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)


class ProducerConnection:
    """An idempotent producer with batches of its own. Create it with `open`, inside the running event loop."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._waiting: list[tuple[LogRecord, asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._counts: dict[str, int] = {}
        self._fault: KafkaError | OSError | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, **client: Any) -> "ProducerConnection":
        """Connect and obtain a producer id. `client`: arguments of an aiokafka client. Raises one of BROKEN."""
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
        """Enqueue `record`, synchronously, which fixes its order. The future is done once Kafka acknowledged it, and
        fails with one of BROKEN if the connection fails.

        Records that arrive while a request is in flight are sent together, one batch per partition. aiokafka's `send`
        would cost each record as much as the rest of the work on a webhook.
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
        """Fail all that is enqueued: a later record must not be sent after an earlier one was lost."""
        self._fault, waiting, self._waiting = error, self._waiting, []
        for _, future in (*taken, *waiting):
            if not future.done():
                future.set_exception(error)

    async def _send(self, taken: list[tuple[LogRecord, "asyncio.Future[None]"]]) -> None:
        """Send and wait. Raises one of BROKEN; futures of records that were acknowledged before the error are done."""
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
        """Pack `rows` into batches. Raises MessageSizeTooLargeError, as Kafka would, for a record that fits in none."""
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
        """Send all and wait for every acknowledgement. Order is kept within a partition. Raises one of BROKEN; has no
        time limit of its own."""
        futures = [self.enter(record) for record in records]
        for outcome in await asyncio.gather(*futures, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def close(self) -> None:
        """Flush and close, within CLOSE_S seconds; drop what is not sent by then."""
        try:
            async with asyncio.timeout(CLOSE_S):
                if self._sending is not None:
                    await self._sending
                await self._producer.stop()
        except TimeoutError:
            await self.drop()

    async def drop(self) -> None:
        """Close without sending what is enqueued: it is in the spool, and sent twice it would be out of order."""
        if self._sending is not None:
            self._sending.cancel()
        # aiokafka's stop() waits until all is sent, for as long as the broker is unavailable.
        self._producer._closed = True
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._producer._sender.close()
        except BROKEN:
            pass  # the connection is dropped because it failed
        finally:
            await self._producer.client.close()
