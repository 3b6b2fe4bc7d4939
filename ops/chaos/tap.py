"""A tap for HTTP/1.1 with Content-Length and one exchange at a time: what was called, and what was answered."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Exchange:
    """One request and its answer. `head`: request line and headers; `asked_ms`: when its last byte reached the proxy;
    `answered_ms`: when the last byte of the answer was passed on, 0 if that never happened."""

    method: str
    target: str
    body: bytes
    asked_ms: int
    status: int = 0
    answer: bytes = b""
    answered_ms: int = 0
    head: str = ""


@dataclass(slots=True)
class _Cutter:
    """Cuts a stream of bytes into messages: head lines and body."""

    buffer: bytes = b""
    ready: deque[tuple[str, bytes]] = field(default_factory=deque)

    def feed(self, data: bytes) -> None:
        """Bytes as they come; whole messages gather in `ready`."""
        self.buffer += data
        while (end := self.buffer.find(HEAD_END)) >= 0:
            head = self.buffer[:end].decode("latin-1")
            size = end + len(HEAD_END) + _length(head)
            if len(self.buffer) < size:
                return
            self.ready.append((head, self.buffer[end + len(HEAD_END) : size]))
            self.buffer = self.buffer[size:]


class HttpTap:
    """`asked` is called when a request is whole, `answered` when its answer is."""

    def __init__(self, asked: Callable[[Exchange], None], answered: Callable[[Exchange], None]) -> None:
        self._asked, self._answered = asked, answered
        self._up, self._down = _Cutter(), _Cutter()
        self._open: deque[Exchange] = deque()

    def up(self, data: bytes) -> None:
        """See `proxy.Tap`."""
        self._up.feed(data)
        while self._up.ready:
            head, body = self._up.ready.popleft()
            method, target, _ = head.partition("\r\n")[0].split(" ", 2)
            exchange = Exchange(method, target, body, _now_ms(), head=head)
            self._open.append(exchange)
            self._asked(exchange)

    def down(self, data: bytes) -> None:
        """See `proxy.Tap`."""
        self._down.feed(data)
        while self._down.ready and self._open:
            head, body = self._down.ready.popleft()
            exchange = self._open.popleft()
            exchange.status, exchange.answer = int(head[9:12]), body
            exchange.answered_ms = _now_ms()
            self._answered(exchange)


def _length(head: str) -> int:
    return int(header(head, "content-length") or 0)


def header(head: str, wanted: str) -> str:
    """The value of a header, by its name in lower case; "" without one."""
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == wanted:
            return value.strip()
    return ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
