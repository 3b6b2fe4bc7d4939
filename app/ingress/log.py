"""Putting records on the log before they are answered: Kafka, or the spool while Kafka is away."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app import telemetry
from app.ingress.spool import Record, Spool

_log = telemetry.logger(__name__)

# Twilio waits 15 s; a callback that Kafka has not taken by then is safer on our own disk.
ACK_S = 1.0
DRAIN_AT_ONCE = 500
RETRY_S = 0.2


class Unavailable(Exception):
    """Neither Kafka nor the disk took the record."""


class Log:
    """`put` returns when the record is on the log or fsynced on our own disk. Start inside the running loop."""

    def __init__(self, spool: Spool, **client: Any) -> None:
        self._spool, self._client = spool, client
        self.away = False
        self.spooled = self.produced = 0
        self._drainer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect; what an earlier process spooled goes first."""
        self._producer = AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            linger_ms=1,
            max_batch_size=1 << 18,
            max_request_size=1 << 21,
            **self._client,
        )
        await self._producer.start()
        if len(self._spool):
            self._begin_draining()

    async def stop(self) -> None:
        """Flush what can be flushed."""
        if self._drainer is not None:
            self._drainer.cancel()
        await self._producer.stop()
        self._spool.close()

    @property
    def waiting(self) -> int:
        """Records in the spool."""
        return len(self._spool)

    async def put(self, record: Record) -> None:
        """Raises Unavailable."""
        if not self.away and not len(self._spool):
            try:
                async with asyncio.timeout(ACK_S):
                    await self._send(record)
            except (TimeoutError, KafkaError) as error:
                _log.warning("kafka.away", error=type(error).__name__)
                self.away = True
            else:
                self.produced += 1
                return
        try:
            await self._spool.append(record)
        except OSError as error:
            _log.error("spool.refused", error=error.strerror)
            raise Unavailable from None
        self.spooled += 1
        self._begin_draining()

    async def _send(self, record: Record) -> None:
        future = await self._producer.send(record.topic, record.value, record.key, headers=record.headers)
        await asyncio.shield(future)

    def _begin_draining(self) -> None:
        if self._drainer is None or self._drainer.done():
            self._drainer = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        """Send the spool in order; over when it is empty."""
        while len(self._spool):
            records = self._spool.head(DRAIN_AT_ONCE)
            try:
                futures = [await self._producer.send(r.topic, r.value, r.key, headers=r.headers) for r in records]
                await asyncio.gather(*futures)
            except KafkaError as error:
                _log.warning("spool.waits", records=len(self._spool), error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
                continue
            self._spool.sent(len(records))
        self.away = False
        _log.info("spool.drained")
