"""The door in a thread of its own, for tests that ask it thousands of times without an event loop."""

import asyncio
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from app.read_model.reader import ReadModel
from app.read_model.tables import database_url, open_engine
from tests.support.ingress_server import IngressServer, door
from tests.support.projected import put


class IngressResponse(NamedTuple):
    """An answer."""

    status: int
    kind: str
    body: bytes


class IngressClient:
    """Asks on one connection, made again when it was closed."""

    def __init__(self, made: IngressServer) -> None:
        self.door, self.url = made, str(made.http.base_url)
        self._connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)

    def ask(self, method: str, target: str, headers: dict[str, bytes], body: bytes) -> IngressResponse:
        try:
            return self._ask(method, target, headers, body)
        except (http.client.RemoteDisconnected, ConnectionError):
            self._connection.close()  # it was closed after the answer before
            return self._ask(method, target, headers, body)

    def _ask(self, method: str, target: str, headers: dict[str, bytes], body: bytes) -> IngressResponse:
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body)
        answer = self._connection.getresponse()
        return IngressResponse(answer.status, answer.getheader("content-type", ""), answer.read())

    def close(self) -> None:
        self._connection.close()


@contextmanager
def doorway(path: Path, **acme: object) -> Iterator[IngressClient]:
    """Tenants acme and beta, a Kafka that takes all, and a read model that knows no message."""
    engine = open_engine(database_url("", path / "rows"))
    put(engine)
    loop, stop, made = asyncio.new_event_loop(), asyncio.Event(), list[IngressServer]()
    up = threading.Event()

    async def run() -> None:
        async with door(path, read_model=ReadModel(engine, answer_s=10.0), **acme) as opened:  # type: ignore[arg-type] # fields of a tenant
            made.append(opened)
            up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert up.wait(20), "the door did not open"
    way = IngressClient(made[0])
    try:
        yield way
    finally:
        way.close()
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
        engine.dispose()
