"""The engine's own producer: idempotent, acks=all, whole client-side batches, every Produce request under the lease.

Faust's producer is not used: it buffers per record, reports failures to a log only, and commits past them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
)
from aiokafka.partitioner import murmur2

from app import clock
from app.streams.engine.agent import Headers, Output
from app.streams.engine.errors import RecordRefusedError
from app.streams.engine.lease import Lease
from app.streams.engine.process_exit import die

BATCH_BYTES = 1 << 20
# Key and value of one record; no topic of ours takes so much, and no request of many megabytes leaves for nothing.
MOST_BYTES = 8 << 20
# What the broker refuses for what the record is, after it has appended nothing.
REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError, PolicyViolationError)

_NONE: Headers = []
Records = Sequence[tuple[bytes | None, bytes | None, Headers]]


class AppendResult(NamedTuple):
    """Where the last of several records is on the log. `at_ms`: when, by the broker's clock, ms since the epoch (ours,
    on a topic that keeps the producer's time)."""

    offset: int
    at_ms: int


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, count: int) -> int:
    """Partition of a key as Kafka's default partitioner has it (murmur2 of the key, sign bit off)."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)


class LeasedProducer:
    """Batches in, acknowledgements out. A failure to produce ends the process: nothing may be acked past it. What is
    refused because of the record itself raises RecordRefusedError instead: it will be refused again."""

    def __init__(self, lease: Lease, **client: Any) -> None:
        self._lease, self._client = lease, client
        self._producer: AIOKafkaProducer | None = None
        self._rows: AIOKafkaProducer | None = None
        self._counts: dict[str, int] = {}
        self._lines: dict[tuple[str, int], _PartitionQueue] = {}

    async def start(self) -> None:
        """Connect; call inside the running loop.

        Two clients: aiokafka has one request per broker under way, and rows must not queue behind outputs.
        """
        self._producer, self._rows = await self._connect(), await self._connect()

    async def _connect(self) -> AIOKafkaProducer:
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
        return producer

    async def stop(self) -> None:
        """Flush what is pending and close both producers."""
        for producer in (self._producer, self._rows):
            if producer is not None:
                await producer.stop()

    async def partitions(self, topic: str) -> int:
        """Partition count of a topic, asked once. Where Kafka does not say, the process ends: no record is to blame."""
        if topic not in self._counts:
            assert self._producer is not None
            try:
                self._counts[topic] = len(await self._producer.partitions_for(topic))
            except KafkaError as error:
                die(f"the partitions of {topic} are not known: {type(error).__name__}")
        return self._counts[topic]

    async def send_all(self, outputs: Iterable[Output]) -> dict[tuple[str, int], int]:
        """Produce and wait until all are acknowledged; order is kept per partition. Returns the offset of the last
        record by topic and partition. Raises RecordRefusedError."""
        groups: dict[tuple[str, int], list[tuple[bytes | None, bytes | None, Headers]]] = {}
        for topic, key, value, partition, headers in outputs:
            if partition is None:
                partition = partition_of(key or b"", await self.partitions(topic))
            groups.setdefault((topic, partition), []).append((key, value, headers))
        sent = [self._send_group(*where, records) for where, records in groups.items()]
        # All of them: none may be under way when the caller goes on after one was refused.
        ended = await asyncio.gather(*sent, return_exceptions=True) if sent else []
        lasts = {}
        for where, last in zip(groups, ended, strict=True):
            if isinstance(last, BaseException):
                raise last
            lasts[where] = last.offset
        return lasts

    async def changelog(self, topic: str, partition: int, rows: Sequence[tuple[bytes, bytes | None]]) -> AppendResult:
        """One record per row, acknowledged. Raises RecordRefusedError."""
        return await self._send_group(topic, partition, [(key, value, _NONE) for key, value in rows], self._rows)

    async def _send_group(
        self, topic: str, partition: int, records: Records, producer: AIOKafkaProducer | None = None
    ) -> AppendResult:
        line = self._lines.get((topic, partition))
        if line is None:
            line = self._lines[topic, partition] = _PartitionQueue(producer or self._producer, topic, partition)
        return await line.put(records)


class _PendingAppend(NamedTuple):
    """Records that one caller waits for."""

    records: Records
    acked: "asyncio.Future[AppendResult]"


class _PartitionQueue:
    """What goes to one partition: what gathers while a request is under way leaves as one batch.

    aiokafka's own queue of whole batches takes one at a time and counts every waiter's time twice.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        self._producer, self._topic, self._partition = producer, topic, partition
        self._pending: list[_PendingAppend] = []
        self._running: asyncio.Task[None] | None = None

    def put(self, records: Records) -> "asyncio.Future[AppendResult]":
        """Where the last record is, once acknowledged. Raises RecordRefusedError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[AppendResult] = loop.create_future()
        self._pending.append(_PendingAppend(records, future))
        if self._running is None:
            self._running = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._pending:
                taken, self._pending = self._pending, []
                await self._send(taken)
        except Exception as error:  # noqa: BLE001 - whatever the client raises, a record may be missing: end here
            die(f"produce to {self._topic}-{self._partition} failed: {type(error).__name__}")
        self._running = None

    async def _send(self, taken: list[_PendingAppend]) -> None:
        """All of them together; where one is refused, each by itself, so that it alone fails."""
        last = None
        try:
            batches, ends = self._batches(taken)
            for number, batch in enumerate(batches):
                appended = await self._acked(batch)
                last = appended.offset
                for one in ends[number]:
                    _resolve(one.put, appended._replace(offset=last - batch.record_count() + 1 + one.place))
        except RecordRefusedError as refused:
            if len(taken) == 1:
                _fail(taken[0], RecordRefusedError(str(refused), last))
                return
            for put in taken:
                if not put.acked.done():
                    await self._send([put])

    def _batches(self, taken: list[_PendingAppend]) -> tuple[list[Any], dict[int, list["_BatchEnd"]]]:
        """Whole batches, and by their number the puts whose last record each of them holds."""
        batches, ends = [self._producer.create_batch()], defaultdict[int, list[_BatchEnd]](list)
        for put in taken:
            for record in put.records:
                if not _append(batches[-1], record):
                    batches.append(self._producer.create_batch())
                    _append(batches[-1], record)
            ends[len(batches) - 1].append(_BatchEnd(put, batches[-1].record_count() - 1))
        return batches, ends

    async def _acked(self, batch: Any) -> AppendResult:
        """Where the batch's last record is."""
        count = batch.record_count()
        try:
            metadata = await (await self._producer.send_batch(batch, self._topic, partition=self._partition))
        except REFUSALS as error:
            # Nothing was appended: the broker expects the numbers of this batch from the next one.
            self._producer._txn_manager._sequence_numbers[TopicPartition(self._topic, self._partition)] -= count
            raise RecordRefusedError(type(error).__name__) from error
        # -1: the topic keeps the producer's time, which was ours, a moment ago.
        at_ms = metadata.timestamp if metadata.timestamp > 0 else clock.now_ms()
        return AppendResult(metadata.offset + count - 1, at_ms)


class _BatchEnd(NamedTuple):
    """Where in a batch the last record of a put stands."""

    put: _PendingAppend
    place: int


def _append(batch: Any, record: tuple[bytes | None, bytes | None, Headers]) -> bool:
    """Whether it had room. Raises RecordRefusedError for what cannot be encoded or no broker would take."""
    key, value, headers = record
    if len(key or b"") + len(value or b"") > MOST_BYTES:
        raise RecordRefusedError(f"longer than {MOST_BYTES} bytes")
    try:
        return batch.append(key=key, value=value, timestamp=None, headers=headers) is not None
    except (TypeError, ValueError) as error:
        raise RecordRefusedError(f"cannot be encoded: {type(error).__name__}") from error


def _resolve(put: _PendingAppend, appended: AppendResult) -> None:
    if not put.acked.done():
        put.acked.set_result(appended)


def _fail(put: _PendingAppend, refused: RecordRefusedError) -> None:
    if not put.acked.done():
        put.acked.set_exception(refused)
