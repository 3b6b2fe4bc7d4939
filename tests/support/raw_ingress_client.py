"""Connections to the door by hand: what is said on them, byte by byte, and all that comes back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.ingress_server import IngressServer


class RawConnection:
    """One connection by hand: what is sent, and all that comes back until the door closes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.heard = asyncio.ensure_future(_all(reader))

    async def say(self, *parts: bytes) -> None:
        try:
            for part in parts:
                self._writer.write(part)
                await self._writer.drain()
        except ConnectionError:
            return  # the door had heard enough

    def close(self) -> None:
        """Say no more, and go."""
        self._writer.write_eof()
        self._writer.close()

    async def drip(self, part: bytes) -> bytes:
        """The same over and over, until the door has closed: what it said."""
        while not self.heard.done():
            await self.say(part)
            await asyncio.wait([self.heard], timeout=0.01)
        return await self.heard


async def _all(reader: asyncio.StreamReader) -> bytes:
    parts = []  # joined at the end: bytes that grow by small parts are copied each time
    try:
        while part := await reader.read(1 << 16):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


@asynccontextmanager
async def lines(made: IngressServer, count: int = 1, first: bytes = b"") -> AsyncIterator[list[RawConnection]]:
    """Connections that say `first` as soon as they are there."""
    where, pairs = made.http.base_url, []
    for _ in range(count):
        pairs.append(await asyncio.open_connection(where.host, where.port))
        pairs[-1][1].write(first)
    try:
        async with asyncio.timeout(60):
            yield [RawConnection(*pair) for pair in pairs]
    finally:
        for _, writer in pairs:
            writer.close()


def cut(made: IngressServer) -> dict[str, int]:
    return {why.value: count for why, count in made.ingress.connections.cut.items() if count}


def status(heard: bytes) -> int:
    """Of the last answer; it is in our form, closes, and is all there."""
    *_, answer = heard.split(b"HTTP/1.1 ")
    first, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in first and b"connection: close" in first
    assert json.loads(body)["status"] == int(first[:3])
    return int(first[:3])
