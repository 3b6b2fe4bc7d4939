"""Posting webhooks: a keep-alive pool that speaks just enough HTTP/1.1.

A general client costs several times as much, and the simulator shares its cores with what it tests.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

MAX_BODY = 1 << 20
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# Anything a server or the network can do to an exchange: broken, cut short, no HTTP.
BROKEN = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError)


class PostError(Exception):
    """No answer: `connected` tells whether the connection was made."""

    def __init__(self, *, connected: bool) -> None:
        super().__init__("no answer")
        self.connected = connected


class WebhookResponse(NamedTuple):
    """`kind`: media type without parameters, "" if the server named none."""

    status: int
    kind: str = ""
    body: bytes = b""


class WebhookClient:
    """Posts to http:// and https:// addresses."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], list[Connection]] = defaultdict(list)

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], connect_s: float, read_s: float
    ) -> WebhookResponse:
        """One POST. Raises PostError."""
        parts = urlsplit(url)
        message = _message(parts, body, headers)
        connection = self._kept(parts) or await _connected(parts, connect_s)
        try:
            async with asyncio.timeout(read_s):
                answer, again = await _exchange(connection, message)
        except (*BROKEN, TimeoutError):
            connection[1].close()
            raise PostError(connected=True) from None
        if again:
            self._idle[parts.scheme, parts.netloc].append(connection)
        else:
            connection[1].close()
        return answer

    def _kept(self, parts: SplitResult) -> Connection | None:
        """An idle connection that the server has not closed."""
        idle = self._idle[parts.scheme, parts.netloc]
        while idle:
            reader, writer = idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None

    def close(self) -> None:
        """Close what is idle."""
        for connections in self._idle.values():
            for _, writer in connections:
                writer.close()
        self._idle.clear()


def _message(parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


async def _connected(parts: SplitResult, connect_s: float) -> Connection:
    """A new connection. Raises PostError."""
    try:
        async with asyncio.timeout(connect_s):
            return await _connect(parts)
    except (OSError, TimeoutError, ValueError):
        raise PostError(connected=False) from None


async def _connect(parts: SplitResult) -> Connection:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no http address")
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    return await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80), ssl=secure)


async def _exchange(connection: Connection, message: bytes) -> tuple[WebhookResponse, bool]:
    """The answer, and whether the connection may be used again."""
    reader, writer = connection
    writer.write(message)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    closing = b"\r\nconnection: close" in head or head.startswith(b"http/1.0")
    length = _header(head, b"content-length")
    if status == 204 or length == b"0":
        body = b""
    elif length:
        body = await reader.readexactly(min(int(length), MAX_BODY))
    elif b"chunked" in _header(head, b"transfer-encoding"):
        body = await _chunks(reader)
    else:
        body, closing = await reader.read(MAX_BODY), True
    kind = _header(head, b"content-type").partition(b";")[0].strip().decode("latin-1")
    return WebhookResponse(status, kind, body), not closing


def _header(head: bytes, name: bytes) -> bytes:
    at = head.find(b"\r\n" + name + b":")
    return b"" if at < 0 else head[at + len(name) + 3 : head.index(b"\r\n", at + 2)].strip()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        if len(body) + size > MAX_BODY:
            raise ValueError("a body is too long")
        body += (await reader.readexactly(size + 2))[:-2]
    while (await reader.readline()).strip():
        pass
    return body
