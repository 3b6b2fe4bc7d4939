"""Writes records durably before their requests are answered: to Kafka, or to the spool while Kafka is unavailable.

Order: records of one process are on the log in the order of their `put` calls. A record that was in flight when Kafka
became unavailable may be there twice. Records of two processes are ordered by their times of receipt alone: each
process writes its own spool files, and either's may be sent first.

Rejected records: one that Kafka rejects (such as a too large one) breaks the connection like any other error. The
records of its chunk are then sent one by one from the spool, and it is set aside. So is one for a tenant's own topic
that we may not write to: `put` then raises LogUnavailableError for that topic for a while. Other tenants go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from app import telemetry
from app.errors import HeliographError
from app.ingress.durable.producer import BROKEN, ProducerConnection
from app.ingress.durable.record import LogRecord
from app.ingress.durable.refused_records import REFUSED, RefusedRecords
from app.ingress.durable.spool import Spool
from app.ingress.durable.spool_progress import SpoolProgress

_log = telemetry.logger(__name__)

# Seconds to wait for Kafka's acknowledgement; after the first late record all go to the spool, which is as durable.
ACK_S = 0.4
# Limit for sending the last spooled records while new ones wait. Longer than ACK_S, or the hand-over might never end.
HAND_OVER_S = 1.5
OPEN_S, CHUNK_S = 10.0, 10.0
RETRY_S = 0.2
# Attempts to reconnect between two warnings in the log, about a minute.
REMIND_AFTER = 300
# Pause before the spool is read again while its only records are not fsynced yet.
FSYNC_S = 0.002
# Under steady load the spool would never become empty. So when it holds at most LAST_BYTES and Kafka acknowledged the
# previous chunk within SOON_S, new records wait until the rest is sent.
LAST_BYTES, SOON_S = 256 << 10, 0.4


class LogUnavailableError(HeliographError):
    """Neither Kafka nor the disk took the record."""


class _Pending:
    """A record without an acknowledgement yet. `due_s`: time of the event loop at which the connection is abandoned;
    `kept`: future of its append to the spool, if it went there."""

    __slots__ = ("acked", "connection", "due_s", "kept", "record")

    def __init__(
        self, record: LogRecord, connection: ProducerConnection, acked: "asyncio.Future[None]", due_s: float
    ) -> None:
        self.record, self.connection, self.acked, self.due_s = record, connection, acked, due_s
        self.kept: asyncio.Future[None] | None = None

    def taken(self) -> bool:
        """True if Kafka acknowledged the record."""
        acked = self.acked
        return acked.done() and not acked.cancelled() and acked.exception() is None

    def give_up(self, kept: "asyncio.Future[None]") -> None:
        """Note the append to the spool, and wake the `put` that still waits for Kafka."""
        self.kept = kept
        if not self.acked.done():
            self.acked.set_exception(TimeoutError())


class LogWriter:
    """`put` returns when the record is acknowledged by Kafka or fsynced in the spool. Start inside the running loop.

    While the spool holds records, `put` appends to it and not to Kafka, which keeps the order.

    `fail`: ends the process, called when reconnecting raises an unexpected error; `stall_s`: seconds without a sent
    record after which the spool counts as stalled; `tenant_topics`: topics that hold records of one tenant only.
    """

    def __init__(
        self,
        spool: Spool,
        open_connection: Callable[[], Awaitable[ProducerConnection]],
        fail: Callable[[BaseException], None],
        stall_s: float = 30.0,
        tenant_topics: Collection[str] = (),
    ) -> None:
        self._spool, self._open_connection, self._fail = spool, open_connection, fail
        self._connection: ProducerConnection | None = None
        self._next: ProducerConnection | None = None  # used by the reconnect task only
        self._reconnect_task: asyncio.Task[None] | None = None
        self._dropping: set[asyncio.Task[None]] = set()
        # Held while the last spooled records are sent; `_queued` counts the `put` calls that wait for it, in order.
        self._order, self._queued = asyncio.Lock(), 0
        self._pending: dict[_Pending, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._disk_fault, self._progress = "", SpoolProgress(stall_s)
        self._refusals = RefusedRecords(spool, tenant_topics)
        self.produced = self.spooled = 0

    async def start(self) -> None:
        """Connect; records that an earlier process spooled are sent first. An error in BROKEN starts reconnecting in
        the background; any other one that `open_connection` raises is passed on."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(OPEN_S):
                connection = await self._open_connection()
        except BROKEN as error:
            _log.warning("kafka.away", error=type(error).__name__)
            self._start_reconnect(None)
            return
        if self._spool.empty:
            self._connection = connection
        else:
            self._start_reconnect(connection)

    async def stop(self) -> None:
        """Flush pending records and close; the spool keeps what could not be sent."""
        if self._reconnect_task is not None and not self._reconnect_task.done():
            self._reconnect_task.cancel()
            await asyncio.wait([self._reconnect_task])
        self._drop_next()
        if self._connection is not None:
            await self._connection.close()
        if self._dropping:
            await asyncio.wait(tuple(self._dropping))
        self._spool.close()

    @property
    def refused(self) -> int:
        """Number of records that Kafka rejected and that were set aside."""
        return self._refusals.count

    @property
    def spooled_bytes(self) -> int:
        """Bytes in the spool that are not sent yet."""
        return self._spool.size

    @property
    def away(self) -> bool:
        """True while records go to the spool."""
        return self._connection is None

    def fault(self) -> str:
        """Why records cannot be accepted, or that Kafka denies us access to it; "" if neither."""
        if self.away and self._disk_fault:
            return f"Kafka is away and the spool: {self._disk_fault}"
        return self._stalled(forbidden=True)

    def degraded(self) -> str:
        """That the spool only grows because Kafka is unavailable; "" if not."""
        return self._stalled(forbidden=False)

    def _stalled(self, *, forbidden: bool) -> str:
        return self._progress.stalled(forbidden=forbidden) if self.away and not self._spool.empty else ""

    async def put(self, record: LogRecord) -> None:
        """Write `record`; it is durable on return. Raises LogUnavailableError if neither Kafka nor the disk took it."""
        if not self._refusals.allow(record.topic, self._loop.time()):
            raise LogUnavailableError
        if self._order.locked() or self._queued:
            place = await self._enqueue_in_order(record)
        else:
            place = self._enqueue(record)
        if not isinstance(place, _Pending):
            await self._on_disk(place)
            return
        try:
            await place.acked
        except BROKEN as error:
            if place.kept is None:
                self._give_up(place.connection, error)
        finally:
            del self._pending[place]
        if place.kept is not None:
            await self._on_disk(place.kept)
        else:
            self.produced += 1

    async def _enqueue_in_order(self, record: LogRecord) -> "_Pending | asyncio.Future[None]":
        """Enqueue behind the records that wait while the last spooled ones are sent."""
        self._queued += 1
        try:
            async with self._order:
                return self._enqueue(record)
        finally:
            self._queued -= 1

    def _enqueue(self, record: LogRecord) -> "_Pending | asyncio.Future[None]":
        """Enqueue for Kafka or append to the spool. Synchronous, so that the order of calls is the order on the log."""
        connection = self._connection
        if connection is None:
            return self._spool.append(record)
        pending = _Pending(record, connection, connection.enter(record), self._loop.time() + ACK_S)
        self._pending[pending] = None
        if self._timer is None:
            self._timer = self._loop.call_later(ACK_S, self._check_overdue)
        return pending

    async def _on_disk(self, kept: "asyncio.Future[None]") -> None:
        try:
            await kept
        except OSError as error:
            fault = error.strerror or type(error).__name__
            if fault != self._disk_fault:  # not a line for each record: the log may stand on the disk that is full
                _log.error("spool.refused", error=fault)
            self._disk_fault = fault
            raise LogUnavailableError from None
        self._disk_fault = ""
        self.spooled += 1

    def _check_overdue(self) -> None:
        """Abandon the connection if the oldest record is overdue. A timer for each would cost as much as sealing it."""
        self._timer = None
        waiting = (pending for pending in self._pending if pending.kept is None and not pending.taken())
        if (oldest := next(waiting, None)) is None:
            return
        if oldest.due_s <= self._loop.time():
            self._give_up(oldest.connection, TimeoutError())
        else:
            self._timer = self._loop.call_at(oldest.due_s, self._check_overdue)

    def _give_up(self, connection: ProducerConnection, error: Exception) -> None:
        """Move all pending records to the spool in one step, in order and before any later record."""
        _log.warning("kafka.away", error=type(error).__name__)
        self._connection = None
        for pending in self._pending:
            if not pending.taken():
                pending.give_up(self._spool.append(pending.record))
        self._drop(connection)
        self._start_reconnect(None)

    def _drop(self, connection: ProducerConnection) -> None:
        task = asyncio.get_running_loop().create_task(connection.drop())
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    def _start_reconnect(self, connection: ProducerConnection | None) -> None:
        self._next = connection
        self._progress.begin()
        self._reconnect_task = asyncio.get_running_loop().create_task(self._reconnect_and_drain())
        self._reconnect_task.add_done_callback(self._on_reconnect_done)

    def _on_reconnect_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _reconnect_and_drain(self) -> None:
        """Reconnect, send the spool, and hand the connection to `put` once the spool is empty."""
        failures = 0
        while True:
            try:
                if self._next is None:
                    async with asyncio.timeout(OPEN_S):
                        self._next = await self._open_connection()
                if await self._hand_over(self._next):
                    break
            except BROKEN as error:
                self._progress.failed(error)
                if failures % REMIND_AFTER == 0:
                    _log.warning("kafka.still_away", bytes=self._spool.size, error=type(error).__name__)
                failures += 1
                self._drop_next()
                await asyncio.sleep(RETRY_S)
        _log.info("kafka.here")

    def _drop_next(self) -> None:
        if self._next is not None:
            self._drop(self._next)
            self._next = None

    async def _hand_over(self, connection: ProducerConnection) -> bool:
        """Send the oldest chunk. True once the spool is empty and `put` uses `connection`. Raises one of BROKEN."""
        if self._spool.size <= LAST_BYTES:
            self._spool.adopt()
        if not self._spool.empty:
            soon = await self._send_oldest(connection)
            if not soon or self._spool.size > LAST_BYTES:
                return False
        async with self._order, asyncio.timeout(HAND_OVER_S):
            while not self._spool.empty:
                await self._send_oldest(connection)
            self._connection, self._next = connection, None
        return True

    async def _send_oldest(self, connection: ProducerConnection) -> bool:
        """Send the oldest chunk. True if there was one and Kafka acknowledged it within SOON_S."""
        chunk = self._spool.head(self._refusals.most)
        if chunk is None:
            await asyncio.sleep(FSYNC_S)
            return False
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(CHUNK_S):
                await connection.send_all(chunk.records)
        except REFUSED as error:
            self._refusals.refused(chunk, error, asyncio.get_running_loop().time())
            raise
        self._refusals.sent()
        self._spool.sent(chunk)
        self._progress.moved()
        return asyncio.get_running_loop().time() - began < SOON_S
