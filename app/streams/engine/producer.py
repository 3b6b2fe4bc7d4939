"""The engine's own producer: idempotent, acks=all, whole client-side batches, every Produce request under the lease.

Faust's producer is not used: it buffers per record, reports failures to a log only, and commits past them.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from app.streams.engine.agent import Headers, Output
from app.streams.engine.exits import die
from app.streams.engine.lease import Lease

BATCH_BYTES = 1 << 20


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, count: int) -> int:
    """Partition of a key as Kafka's default partitioner has it (murmur2 of the key, sign bit off)."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)


class LeasedProducer:
    """Batches in, acknowledgements out. Any failure to produce ends the process: nothing may be acked past it."""

    def __init__(self, lease: Lease, **client: Any) -> None:
        self._lease, self._client = lease, client
        self._producer: AIOKafkaProducer | None = None
        self._counts: dict[str, int] = {}

    async def start(self) -> None:
        """Connect; call inside the running loop."""
        producer = AIOKafkaProducer(
            acks="all", enable_idempotence=True, linger_ms=0, max_batch_size=BATCH_BYTES, **self._client
        )
        inner = producer.client.send

        async def send(node: int, request: Any, **kwargs: Any) -> Any:
            if type(request).__name__.startswith("Produce"):
                await self._lease.hold()
            return await inner(node, request, **kwargs)

        producer.client.send = send
        await producer.start()
        self._producer = producer

    async def stop(self) -> None:
        """Flush and close."""
        if self._producer is not None:
            await self._producer.stop()

    async def partitions(self, topic: str) -> int:
        """Partition count of a topic, asked once."""
        if topic not in self._counts:
            assert self._producer is not None
            self._counts[topic] = len(await self._producer.partitions_for(topic))
        return self._counts[topic]

    async def send_all(self, outputs: Iterable[Output]) -> None:
        """Produce and wait until all are acknowledged; order is kept per partition."""
        groups: dict[tuple[str, int], list[tuple[bytes | None, bytes | None, Headers]]] = {}
        for topic, key, value, partition, headers in outputs:
            if partition is None:
                partition = partition_of(key or b"", await self.partitions(topic))
            groups.setdefault((topic, partition), []).append((key, value, headers))
        if groups:
            await asyncio.gather(*(self._send_group(*where, records) for where, records in groups.items()))

    async def changelog(self, topic: str, partition: int, rows: Sequence[tuple[bytes, bytes | None]]) -> int:
        """One record per row, acknowledged; returns the offset of the last."""
        return await self._send_group(topic, partition, [(key, value, ()) for key, value in rows])

    async def _send_group(
        self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None, Headers]]
    ) -> int:
        assert self._producer is not None
        try:
            pending = [
                (await self._producer.send_batch(batch, topic, partition=partition), count)
                for batch, count in self._batches(records)
            ]
            last = -1
            for future, count in pending:
                last = (await future).offset + count - 1
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the record may be missing: end here
            die(f"produce to {topic}-{partition} failed: {type(error).__name__}")
        return last

    def _batches(self, records: Sequence[tuple[bytes | None, bytes | None, Headers]]) -> list[tuple[Any, int]]:
        assert self._producer is not None
        batch = self._producer.create_batch()
        batches, count = [(batch, 0)], 0
        for key, value, headers in records:
            if batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
                batch = self._producer.create_batch()
                batches.append((batch, 0))
                batch.append(key=key, value=value, timestamp=None, headers=list(headers))
                count = 0
            count += 1
            batches[-1] = (batch, count)
        return batches
