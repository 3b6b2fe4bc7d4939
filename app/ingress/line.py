"""One connection to Kafka: an idempotent producer that is thrown away whole once it fails.

An idempotent producer of aiokafka never gives up on a batch, and after a batch is lost every later one of that
partition is refused (out of order sequence). So a line that failed is dropped, and a new one gets a new producer id.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.ingress.record import Record

CLOSE_S = 5.0
REQUEST_MS = 5_000
# Faults of the way to Kafka: the line is of no use any more.
BROKEN = (KafkaError, OSError, TimeoutError)


class Line:
    """Open it with `Line.open`, inside the running loop."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    @classmethod
    async def open(cls, **client: Any) -> "Line":
        """Connected, with a producer id. Raises one of BROKEN."""
        line = cls(
            AIOKafkaProducer(
                acks="all",
                enable_idempotence=True,
                linger_ms=1,
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

    async def enter(self, record: Record) -> asyncio.Future[Any]:
        """In its place when it returns, acknowledged when the future is done. Raises KafkaError; may take for ever."""
        future: asyncio.Future[Any] = await self._producer.send(
            record.topic, record.value, record.key, headers=record.headers
        )
        return future

    async def send_all(self, records: Sequence[Record]) -> None:
        """All acknowledged, in order within each partition. Raises KafkaError; may take for ever."""
        futures = [await self.enter(record) for record in records]
        for outcome in await asyncio.gather(*futures, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def close(self) -> None:
        """Flush, then close."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._producer.stop()
        except TimeoutError:
            await self.drop()

    async def drop(self) -> None:
        """Close without sending what waits: it is in the spool by now, and must not come again behind it."""
        # aiokafka's own stop() waits for all that waits, for as long as the broker is away.
        self._producer._closed = True
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._producer._sender.close()
        except BROKEN:
            pass  # the line is dropped because it is broken
        finally:
            await self._producer.client.close()
