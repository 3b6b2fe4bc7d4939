"""Posting webhooks: a keep-alive pool that speaks just enough HTTP/1.1 to http:// addresses.

A general client costs four times as much, and the simulator shares two cores with what it tests.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

CONNECT_S, READ_S = 5.0, 15.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class PostFailed(Exception):
    """No answer: `connected` tells whether the connection was made."""

    def __init__(self, connected: bool) -> None:
        super().__init__("no answer")
        self.connected = connected


class Poster:
    """Form posts, answered with (status, body)."""

    def __init__(self) -> None:
        self._idle: dict[str, list[Connection]] = defaultdict(list)

    async def post(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, bytes]:
        """One POST. Raises PostFailed."""
        parts = urlsplit(url)
        body = urlencode(fields).encode()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/x-www-form-urlencoded; charset=utf-8"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        message = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
        while self._idle[parts.netloc]:
            connection = self._idle[parts.netloc].pop()
            try:
                return await self._exchange(parts.netloc, connection, message)
            except (OSError, asyncio.IncompleteReadError):
                connection[1].close()
        return await self._fresh(parts.netloc, message)

    async def _fresh(self, host: str, message: bytes) -> tuple[int, bytes]:
        name, _, port = host.partition(":")
        try:
            connection = await asyncio.wait_for(asyncio.open_connection(name, int(port or 80)), CONNECT_S)
        except (OSError, TimeoutError):
            raise PostFailed(connected=False) from None
        try:
            return await asyncio.wait_for(self._exchange(host, connection, message), READ_S)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            connection[1].close()
            raise PostFailed(connected=True) from None

    async def _exchange(self, host: str, connection: Connection, message: bytes) -> tuple[int, bytes]:
        reader, writer = connection
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        length, at = 0, head.find(b"content-length:")
        if at >= 0:
            length = int(head[at + 15 : head.index(b"\r\n", at)])
        body = await reader.readexactly(length) if length else b""
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle[host].append(connection)
        return status, body
