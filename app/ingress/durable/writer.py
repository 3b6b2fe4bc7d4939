"""Putting records on the log before they are answered: Kafka, or the spool while Kafka is away.

Records of one process stand on the log in the order in which `put` took them; one that was under way when Kafka went
may stand there twice. A record that Kafka refuses for what it is breaks its line like any other fault; read out of the
spool one by one it is told from the others, and set aside. So is one for a tenant's own topic that Kafka forbids us to
write: that tenant is told so for a while (`LogUnavailableError`), and all others go on. Nothing but the times of
receipt that
they carry orders records of two processes: each writes spool files of its own, and either's may be read out first.
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

# A callback that Kafka has not taken by then is as safe on our own disk, and answered. What came before the first is
# late waits as long at most, so while Kafka is paused 19 of 20 in ten seconds wait for nothing.
ACK_S = 0.4
# The spool's last records on their way, while new ones wait: longer than an acknowledgement, or it might never end.
HAND_OVER_S = 1.5
OPEN_S, CHUNK_S = 10.0, 10.0
RETRY_S = 0.2
# A reminder in the log about every minute while Kafka is away.
REMIND_AFTER = 300
# An append is on its way to the disk: look again.
FSYNC_S = 0.002
# With records always on their way to the disk the spool would never be empty. So with no more than this in it new ones
# wait until all is sent, if Kafka took the chunk before soon.
LAST_BYTES, SOON_S = 256 << 10, 0.4


class LogUnavailableError(HeliographError):
    """Neither Kafka nor the disk took the record."""


class _Pending:
    """A record that the line has not acknowledged. `due_s`: when the line is given up for it, in the loop's time;
    `kept`: its place in the spool, once it is."""

    __slots__ = ("acked", "due_s", "kept", "line", "record")

    def __init__(
        self, record: LogRecord, line: ProducerConnection, acked: "asyncio.Future[None]", due_s: float
    ) -> None:
        self.record, self.line, self.acked, self.due_s = record, line, acked, due_s
        self.kept: asyncio.Future[None] | None = None

    def taken(self) -> bool:
        """Whether it is on the log."""
        acked = self.acked
        return acked.done() and not acked.cancelled() and acked.exception() is None

    def give_up(self, kept: "asyncio.Future[None]") -> None:
        """Wake it, if it waits for the line still."""
        self.kept = kept
        if not self.acked.done():
            self.acked.set_exception(TimeoutError())


class LogWriter:
    """`put` returns when the record is on the log or fsynced on our own disk. Start inside the running loop.

    `open_line` makes a new line; `fail` ends the process when mending the way to Kafka itself goes wrong. While the
    spool holds anything there is no line to `put`, so that everything goes through it, in order. `stall_s`: see
    `SpoolProgress`; `tenant_topics`: topics that hold records of one tenant alone.
    """

    def __init__(
        self,
        spool: Spool,
        open_line: Callable[[], Awaitable[ProducerConnection]],
        fail: Callable[[BaseException], None],
        stall_s: float = 30.0,
        tenant_topics: Collection[str] = (),
    ) -> None:
        self._spool, self._open_line, self._fail = spool, open_line, fail
        self._line: ProducerConnection | None = None
        self._next: ProducerConnection | None = None  # of the mender alone
        self._mender: asyncio.Task[None] | None = None
        self._dropping: set[asyncio.Task[None]] = set()
        # Held while the spool's last records are sent; `_queued` wait for it, in order.
        self._order, self._queued = asyncio.Lock(), 0
        self._pending: dict[_Pending, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._disk_fault, self._progress = "", SpoolProgress(stall_s)
        self._refusals = RefusedRecords(spool, tenant_topics)
        self.produced = self.spooled = 0

    async def start(self) -> None:
        """Connect if Kafka is there; what an earlier process spooled goes first. Raises what `open_line` refuses."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(OPEN_S):
                line = await self._open_line()
        except BROKEN as error:
            _log.warning("kafka.away", error=type(error).__name__)
            self._mend(None)
            return
        if self._spool.empty:
            self._line = line
        else:
            self._mend(line)

    async def stop(self) -> None:
        """Flush what can be flushed; the spool keeps the rest."""
        if self._mender is not None and not self._mender.done():
            self._mender.cancel()
            await asyncio.wait([self._mender])
        self._drop_next()
        if self._line is not None:
            await self._line.close()
        if self._dropping:
            await asyncio.wait(tuple(self._dropping))
        self._spool.close()

    @property
    def refused(self) -> int:
        """Records that Kafka refused, set aside so far."""
        return self._refusals.count

    @property
    def spooled_bytes(self) -> int:
        """Bytes that wait in the spool."""
        return self._spool.size

    @property
    def away(self) -> bool:
        """Whether records go to the spool now."""
        return self._line is None

    def fault(self) -> str:
        """Why no record can be taken now, or that Kafka forbids us what is taken; or ""."""
        if self.away and self._disk_fault:
            return f"Kafka is away and the spool: {self._disk_fault}"
        return self._stalled(forbidden=True)

    def degraded(self) -> str:
        """That the spool only grows while Kafka is away, or ""."""
        return self._stalled(forbidden=False)

    def _stalled(self, *, forbidden: bool) -> str:
        return self._progress.stalled(forbidden=forbidden) if self.away and not self._spool.empty else ""

    async def put(self, record: LogRecord) -> None:
        """Raises LogUnavailableError."""
        if not self._refusals.allow(record.topic, self._loop.time()):
            raise LogUnavailableError
        if self._order.locked() or self._queued:
            place = await self._in_turn(record)
        else:
            place = self._placed(record)
        if not isinstance(place, _Pending):
            await self._on_disk(place)
            return
        try:
            await place.acked
        except BROKEN as error:
            if place.kept is None:
                self._give_up(place.line, error)
        finally:
            del self._pending[place]
        if place.kept is not None:
            await self._on_disk(place.kept)
        else:
            self.produced += 1

    async def _in_turn(self, record: LogRecord) -> "_Pending | asyncio.Future[None]":
        """Behind those that wait while the spool's last records are sent."""
        self._queued += 1
        try:
            async with self._order:
                return self._placed(record)
        finally:
            self._queued -= 1

    def _placed(self, record: LogRecord) -> "_Pending | asyncio.Future[None]":
        """In its place when it returns, on the line or in the spool; what comes next comes behind it."""
        line = self._line
        if line is None:
            return self._spool.append(record)
        pending = _Pending(record, line, line.enter(record), self._loop.time() + ACK_S)
        self._pending[pending] = None
        if self._timer is None:
            self._timer = self._loop.call_later(ACK_S, self._look)
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

    def _look(self) -> None:
        """One timer for all that wait, in the order of their times: a time limit of its own costs each as much as its
        seal."""
        self._timer = None
        waiting = (pending for pending in self._pending if pending.kept is None and not pending.taken())
        if (oldest := next(waiting, None)) is None:
            return
        if oldest.due_s <= self._loop.time():
            self._give_up(oldest.line, TimeoutError())
        else:
            self._timer = self._loop.call_at(oldest.due_s, self._look)

    def _give_up(self, line: ProducerConnection, error: Exception) -> None:
        """All that waits for the line goes to the spool in one step, in order, before anything that comes now."""
        _log.warning("kafka.away", error=type(error).__name__)
        self._line = None
        for pending in self._pending:
            if not pending.taken():
                pending.give_up(self._spool.append(pending.record))
        self._drop(line)
        self._mend(None)

    def _drop(self, line: ProducerConnection) -> None:
        task = asyncio.get_running_loop().create_task(line.drop())
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    def _mend(self, line: ProducerConnection | None) -> None:
        self._next = line
        self._progress.begin()
        self._mender = asyncio.get_running_loop().create_task(self._mending())
        self._mender.add_done_callback(self._mended)

    def _mended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _mending(self) -> None:
        """Until the spool is empty and the next line is everybody's."""
        failures = 0
        while True:
            try:
                if self._next is None:
                    async with asyncio.timeout(OPEN_S):
                        self._next = await self._open_line()
                if await self._handed_over(self._next):
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

    async def _handed_over(self, line: ProducerConnection) -> bool:
        """Send the oldest chunk; with the last ones give the line to everybody: True. Raises one of BROKEN."""
        if self._spool.size <= LAST_BYTES:
            self._spool.adopt()
        if not self._spool.empty:
            soon = await self._sent_oldest(line)
            if not soon or self._spool.size > LAST_BYTES:
                return False
        async with self._order, asyncio.timeout(HAND_OVER_S):
            while not self._spool.empty:
                await self._sent_oldest(line)
            self._line, self._next = line, None
        return True

    async def _sent_oldest(self, line: ProducerConnection) -> bool:
        """Whether there was a chunk and Kafka took it soon."""
        chunk = self._spool.head(self._refusals.most)
        if chunk is None:
            await asyncio.sleep(FSYNC_S)
            return False
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(CHUNK_S):
                await line.send_all(chunk.records)
        except REFUSED as error:
            self._refusals.refused(chunk, error, asyncio.get_running_loop().time())
            raise
        self._refusals.sent()
        self._spool.sent(chunk)
        self._progress.moved()
        return asyncio.get_running_loop().time() - began < SOON_S
