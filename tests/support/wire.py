"""HTTP by hand over a socket: requests that no client would write, and whatever comes back."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx


async def exchange(base_url: httpx.URL | str, *parts: bytes, seconds: float = 10.0) -> httpx.Response | None:
    """Send the parts, then read one answer, while the sender keeps its side open; None if the door closed without one.

    Raises TimeoutError if neither comes in time.
    """
    where = urlsplit(str(base_url))
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        async with asyncio.timeout(seconds):
            await _sent(writer, parts)
            return await _answer(reader)
    finally:
        writer.close()


async def _sent(writer: asyncio.StreamWriter, parts: Sequence[bytes]) -> None:
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        pass  # the door had heard enough; its answer may be there all the same


async def _answer(reader: asyncio.StreamReader) -> httpx.Response | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:] if line)]
        length = int({name.lower(): value for name, value in headers}.get("content-length", "0"))
        return httpx.Response(int(lines[0].split()[1]), headers=headers, content=await reader.readexactly(length))
    except (ConnectionError, asyncio.IncompleteReadError):
        return None


def head(method: str, target: str, headers: dict[str, str]) -> bytes:
    """The head of a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: hooks.example.com", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
