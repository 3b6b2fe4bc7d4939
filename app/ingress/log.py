"""Putting records on the log before they are answered: Kafka, or the spool while Kafka is away."""

import asyncio
from collections.abc import Awaitable, Callable

from app import telemetry
from app.ingress.line import BROKEN, Line
from app.ingress.record import Record
from app.ingress.spool import Spool

_log = telemetry.logger(__name__)

# Twilio waits 15 s; a callback that Kafka has not taken by then is safer on our own disk.
ACK_S = 1.5
OPEN_S, CHUNK_S = 10.0, 10.0
RETRY_S = 0.2
# A reminder in the log about every minute while Kafka is away.
REMIND_AFTER = 300
# An append is on its way to the disk: look again.
FSYNC_S = 0.002


class Unavailable(Exception):
    """Neither Kafka nor the disk took the record."""


class Log:
    """`put` returns when the record is on the log or fsynced on our own disk. Start inside the running loop.

    `open_line` makes a new line; `fail` ends the process when mending the way to Kafka itself goes wrong. While the
    spool holds anything there is no line to `put`, so that everything goes through it, in order.
    """

    def __init__(
        self, spool: Spool, open_line: Callable[[], Awaitable[Line]], fail: Callable[[BaseException], None]
    ) -> None:
        self._spool, self._open_line, self._fail = spool, open_line, fail
        self._line: Line | None = None
        self._mender: asyncio.Task[None] | None = None
        self._dropping: set[asyncio.Task[None]] = set()
        self._disk_fault = ""
        self.produced = self.spooled = 0

    async def start(self) -> None:
        """Connect if Kafka is there; what an earlier process spooled goes first. Raises what `open_line` refuses."""
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
        if self._line is not None:
            await self._line.close()
        if self._dropping:
            await asyncio.wait(tuple(self._dropping))
        self._spool.close()

    @property
    def spooled_bytes(self) -> int:
        """Bytes that wait in the spool."""
        return self._spool.size

    @property
    def away(self) -> bool:
        """Whether records go to the spool now."""
        return self._line is None

    def fault(self) -> str:
        """Why no record can be taken now, or ""."""
        return f"Kafka is away and the spool: {self._disk_fault}" if self.away and self._disk_fault else ""

    async def put(self, record: Record) -> None:
        """Raises Unavailable."""
        line = self._line
        if line is not None and await self._sent(line, record):
            self.produced += 1
            return
        try:
            await self._spool.append(record)
        except OSError as error:
            self._disk_fault = error.strerror or type(error).__name__
            _log.error("spool.refused", error=self._disk_fault)
            raise Unavailable from None
        self._disk_fault = ""
        self.spooled += 1

    async def _sent(self, line: Line, record: Record) -> bool:
        try:
            async with asyncio.timeout(ACK_S):
                await line.send(record)
        except BROKEN as error:
            if self._line is line:
                _log.warning("kafka.away", error=type(error).__name__)
                self._line = None
                self._drop(line)
                self._mend(None)
            return False
        return True

    def _drop(self, line: Line) -> None:
        task = asyncio.get_running_loop().create_task(line.drop())
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    def _mend(self, line: Line | None) -> None:
        self._mender = asyncio.get_running_loop().create_task(self._mending(line))
        self._mender.add_done_callback(self._mended)

    def _mended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _mending(self, line: Line | None) -> None:
        """Until there is a line and the spool is empty."""
        failures = 0
        while True:
            try:
                if line is None:
                    async with asyncio.timeout(OPEN_S):
                        line = await self._open_line()
                if await self._drained(line):
                    break
            except BROKEN as error:
                if failures % REMIND_AFTER == 0:
                    _log.warning("kafka.still_away", bytes=self._spool.size, error=type(error).__name__)
                failures += 1
                if line is not None:
                    self._drop(line)
                    line = None
                await asyncio.sleep(RETRY_S)
        self._line = line
        _log.info("kafka.here")

    async def _drained(self, line: Line) -> bool:
        """Send the oldest chunk; True once nothing waits. Raises one of BROKEN."""
        if self._spool.empty:
            return True
        chunk = self._spool.head()
        if chunk is None:
            await asyncio.sleep(FSYNC_S)
            return False
        async with asyncio.timeout(CHUNK_S):
            await line.send_all(chunk.records)
        self._spool.sent(chunk)
        return False
