"""A server on a real socket that answers what it is told, byte for byte, and remembers each request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import parse_qsl

HANG = b"hang"


class RecordedCall(NamedTuple):
    """One request."""

    line: str
    headers: dict[str, str]
    form: list[tuple[str, str]]


class ScriptedServer:
    """`answer` turns a request into the bytes of the response: b"" closes, HANG never answers."""

    def __init__(self, answer: Callable[[RecordedCall], bytes]) -> None:
        self.answer, self.seen, self.url, self.connections = answer, [], "", 0
        self.open = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while (answer := self.answer(await self._read(reader))) and answer != HANG:
                writer.write(answer)
                if b"Connection: close" in answer:
                    break
            if answer == HANG:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> RecordedCall:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        seen = RecordedCall(head[0], headers, parse_qsl(body.decode(), keep_blank_values=True))
        self.seen.append(seen)
        return seen


@asynccontextmanager
async def scripted(answer: Callable[[RecordedCall], bytes]) -> AsyncIterator[ScriptedServer]:
    script = ScriptedServer(answer)
    server = await asyncio.start_server(script.handle, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield script
    finally:
        server.close()


def http(
    status: int, body: bytes | str, *headers: str, kind: str = "application/json", length: int | None = None
) -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Said", f"Content-Type: {kind}", f"Content-Length: {length or len(raw)}", *headers]
    if length:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw
