"""A TCP proxy that misbehaves on demand: delay, cut, reset, half-open. One event loop, controlled from inside it.

delay    every chunk waits, both ways
cut      nobody listens, and what was open is closed
reset    what is open ends with RST; new connections are taken
hold     half-open: connections stand, new ones are taken, nothing passes; `free` lets what was held go on
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol

CHUNK = 1 << 16
CONNECT_S = 5.0
# What the network or either end may do to a connection.
BROKEN = (OSError, TimeoutError)


class Tap(Protocol):
    """Sees the bytes of one connection."""

    def up(self, data: bytes) -> None:
        """Came from the client; not passed on yet."""
        ...

    def down(self, data: bytes) -> None:
        """Came from the server and was passed on."""
        ...


class Blind:
    """The tap that sees nothing."""

    def up(self, data: bytes) -> None:
        """See `Tap`."""

    def down(self, data: bytes) -> None:
        """See `Tap`."""


class Proxy:
    """Listens on 127.0.0.1:`port`, leads to 127.0.0.1:`target`. Start and stop it inside the running loop."""

    def __init__(self, port: int, target: int, tap: Callable[[], Tap] = Blind) -> None:
        self.port, self.target, self._tap = port, target, tap
        self.delay_s = 0.0
        self._server: asyncio.Server | None = None
        self._open: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter | None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Event()
        self._free.set()

    async def start(self) -> None:
        """Listen. Raises OSError."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=CHUNK)

    async def stop(self) -> None:
        """Close everything."""
        self.free()
        self.cut()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def cut(self) -> None:
        """Refuse new connections, close the open ones; `start` listens again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._end_all(reset=False)

    def reset(self) -> None:
        """RST to both ends of every open connection."""
        self._end_all(reset=True)

    def hold(self) -> None:
        """Nothing passes any more."""
        self._free.clear()

    def free(self) -> None:
        """Undo `hold`: held bytes go on."""
        self._free.set()

    def _end_all(self, *, reset: bool) -> None:
        for pair in tuple(self._open):
            for writer in pair:
                if writer is not None:
                    _end(writer, reset=reset)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter | None] = (writer, None)
        self._open.add(pair)
        try:
            await self._free.wait()
            async with asyncio.timeout(CONNECT_S):
                far_reader, far = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
        except BROKEN:
            _end(writer, reset=True)
            return
        finally:
            self._open.discard(pair)
        if writer.is_closing():  # it was cut while the far side was called
            _end(far, reset=True)
            return
        await self._join((reader, writer), (far_reader, far))

    async def _join(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        tap, pair = self._tap(), (near[1], far[1])
        self._open.add(pair)
        try:
            await asyncio.gather(
                self._pump(near[0], far[1], before=tap.up, after=None),
                self._pump(far[0], near[1], before=None, after=tap.down),
            )
        finally:
            self._open.discard(pair)
            for writer in pair:
                _end(writer, reset=False)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        before: Callable[[bytes], None] | None,
        after: Callable[[bytes], None] | None,
    ) -> None:
        try:
            while data := await reader.read(CHUNK):
                if before is not None:
                    before(data)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._free.wait()
                writer.write(data)
                await writer.drain()
                if after is not None and not writer.is_closing():
                    after(data)
            await self._free.wait()
            writer.write_eof() if writer.can_write_eof() else writer.close()
        except BROKEN:
            _end(writer, reset=True)


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if not reset:
        writer.close()
        return
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.is_closing():
        # Linger on with 0 s: the kernel sends RST in place of FIN.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
