"""Connections to the public door: a head has so many bytes and so much time, a body time; what is beyond is cut off.

uvicorn bounds none of this over httptools: a head without end grows in memory, a client that says nothing or never
ends holds its connection for ever. One timer looks at all of them; a request that is whole when it is read costs some
comparisons. Before a door that the internet reaches stands a proxy all the same (ops/nginx).
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.ingress.http.connection_close import ANSWERS, CloseReason
from app.ingress.http.request_head import HeaderLeniency, head_fault
from app.ingress.http.responses import Answer

# Of a head; the query alone may have 8 KiB, and there may be tens of thousands of connections.
MOST_BYTES = 16 * 1024
HEAD_S = 5.0
# Twilio gives up after 15 s at most; a body that takes longer than this is not Twilio's.
BODY_S = 10.0
# So much longer than the API, which has an answer of its own for it, the connection waits for a body.
LONGER = 1.5
# For so long at most what still comes is thrown away: a socket closed over unread bytes takes the answer with it.
LINGER_S = 2.0
LOOKS = 10
# What a chunk needs beside its bytes: its length, two line ends, some more.
FRAME_BYTES = 16
# Requests read ahead of the one that is answered: the smallest costs fifty times its bytes once it is read, so no more
# is read at a time than nearly every webhook needs, and the rest waits as it came.
MOST_AHEAD, PIECE_BYTES = 16, 4096
# So much of a body is taken whose request has been answered: as much as of one that is read.
MOST_UNWANTED = 64 * 1024


# Where a connection stands: what of a request is expected next, or nothing any more.
HEAD, BODY, WHOLE, OVER = range(4)


class Connections:
    """Makes the protocol of each connection, as uvicorn asks for it, and looks after them. `body_s`: what the app gives
    a body; `cut`: how many were ended, and why."""

    def __init__(self, body_s: float, head_s: float = HEAD_S, most_bytes: int = MOST_BYTES) -> None:
        self.body_s, self.head_s, self.most_bytes = body_s * LONGER, head_s, most_bytes
        self.linger_s = min(LINGER_S, head_s)
        self.cut: Counter[CloseReason] = Counter()
        self.open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, **given: Any) -> "Connection":
        """For a new connection."""
        return Connection(self, **given)

    def begin(self, connection: "Connection") -> None:
        """A connection was made: its head is due."""
        self.open.add(connection)
        if self._timer is None:
            self._timer = connection.loop.call_later(self._pause_s, self._look, connection.loop)

    @property
    def _pause_s(self) -> float:
        return min(self.head_s, self.body_s) / LOOKS

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        for connection in [one for one in self.open if min(one.due_s, one.unread_s) <= now_s]:
            connection.overdue()
        self._timer = loop.call_later(self._pause_s, self._look, loop) if self.open else None


class Flow(FlowControl):
    """Reads nothing new while something waits unread: uvicorn reads on for each request that asks for its body."""

    def __init__(self, transport: asyncio.Transport, waits: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._waits = waits

    def resume_reading(self) -> None:
        if not self._waits():
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """One connection. `due_s`: by the loop's clock, when what is expected must have come; `unread_s`: when answers must
    have been read."""

    def __init__(self, bounds: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._leniency = HeaderLeniency(self.parser)
        self._bounds, self._most = bounds, bounds.most_bytes
        self._room, self._stage, self._timed, self._silent = self._most, HEAD, HEAD, True
        self._unwanted, self._ahead = 0, b""
        self.due_s = self.unread_s = math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """The time of its first head begins."""
        super().connection_made(transport)
        self.flow = Flow(transport, lambda: bool(self._ahead))
        self.due_s = self.loop.time() + self._bounds.head_s
        self._bounds.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody looks after it any more."""
        super().connection_lost(exc)
        self._forget()
        self._bounds.open.discard(self)

    def data_received(self, data: bytes) -> None:
        """In pieces, as long as not too many requests wait."""
        if self._ahead:
            self._ahead += data
        elif len(data) <= PIECE_BYTES and not self.pipeline:
            self._take(data)
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE_BYTES):
            if len(self.pipeline) > MOST_AHEAD:
                self._ahead = data[at:]
                self.flow.pause_reading()
                return
            self._take(data[at : at + PIECE_BYTES])

    def on_response_complete(self) -> None:
        """What waited is read on, and nothing new before all of it is."""
        super().on_response_complete()
        if self._ahead:
            data, self._ahead = self._ahead, b""
            self._feed(data)
            if not self._ahead and not self.pipeline:
                self.flow.resume_reading()

    def pause_writing(self) -> None:
        """More answers than the network holds: they must be read in time."""
        super().pause_writing()
        self.unread_s = self.loop.time() + self._bounds.body_s

    def resume_writing(self) -> None:
        super().resume_writing()
        self.unread_s = math.inf

    def _forget(self) -> None:
        self.pipeline.clear()
        self._ahead = b""

    def _take(self, data: bytes) -> None:
        if self._stage == OVER or self.transport.is_closing():
            return
        if self._stage == WHOLE:
            self._stage = HEAD
        self._room -= len(data)
        self._silent = False
        if self._stage == HEAD and not self._leniency.allows(data):
            self._end(CloseReason.HEADER_CHARACTERS)
            return
        super().data_received(data)
        if self._stage in (WHOLE, OVER):
            return
        if self._room < 0:
            self._end(CloseReason.HEAD_TOO_LONG if self._stage == HEAD else CloseReason.FRAMING_TOO_LONG)
        elif self._stage != self._timed:
            self._timed = self._stage
            self.due_s = self.loop.time() + (self._bounds.head_s if self._stage == HEAD else self._bounds.body_s)

    def on_headers_complete(self) -> None:
        """What follows is the body."""
        if self._stage == OVER:
            return
        if self.parser.should_upgrade():
            # What follows would not be read as a body.
            self._end(CloseReason.UPGRADE)
            return
        self._leniency.end()
        if (fault := head_fault(self.headers, self.parser.get_http_version())) is not None:
            self._end(fault)
            return
        super().on_headers_complete()
        self._stage, self._room, self._unwanted = BODY, self._most, 0

    def on_body(self, body: bytes) -> None:
        """Bodies are bounded by who reads them, and here once nobody does; what frames them, and trailers, are not
        theirs."""
        if self._stage == OVER:
            return
        self._room = min(self._most, self._room + len(body) + FRAME_BYTES)
        super().on_body(body)
        if self.cycle.response_complete:
            self._unwanted += len(body)
            if self._unwanted > MOST_UNWANTED:
                self._shut(CloseReason.BODY_UNWANTED)

    def on_message_complete(self) -> None:
        """Nothing is expected: the answer has its own limits, and after it uvicorn's for an idle connection."""
        if self._stage == OVER:
            return
        self._stage = self._timed = WHOLE
        # One that was answered before its body came has no timer of uvicorn's any more.
        self._silent = late = self.cycle.response_complete
        self._room, self.due_s = self._most, self.loop.time() + self._bounds.head_s if late else math.inf
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """In our form, not as plain text."""
        self._end(CloseReason.NO_HTTP)

    def _unsupported_upgrade_warning(self) -> None:
        """It was answered: nothing that an operator reads."""

    def overdue(self) -> None:
        """What is expected has not come in time, or what was said was not read."""
        if self.transport.is_closing() or self._stage == OVER:
            self.transport.abort()
        elif self.unread_s < self.due_s:
            self._over(CloseReason.ANSWERS_UNREAD)
            self.transport.abort()
        elif self._stage == BODY:
            self._end(CloseReason.BODY_TOO_SLOW)
        else:
            self._end(CloseReason.SILENT if self._silent else CloseReason.HEAD_TOO_SLOW)

    def _end(self, why: CloseReason) -> None:
        answer = ANSWERS.get(why) if self._interrupted() else None
        self._over(why)
        if answer is None:
            self.transport.close()
            return
        self.transport.write(_written(answer))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _shut(self, why: CloseReason) -> None:
        """Its answer was given, and can be read while the rest is held up where it comes from."""
        self._over(why)
        self.flow.pause_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _over(self, why: CloseReason) -> None:
        self._bounds.cut[why] += 1
        self._stage, self.due_s = OVER, self.loop.time() + self._bounds.linger_s
        self._forget()

    def _interrupted(self) -> bool:
        """Whether there is room for an answer: none is under way or was given. An app that reads is told to end."""
        cycle = self.cycle
        if self.pipeline:
            return False
        if self._stage != BODY:
            return cycle is None or cycle.response_complete
        if cycle.response_started:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        return True


def _written(answer: Answer) -> bytes:
    status, body, kind = answer
    return b"%scontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (
        STATUS_LINE[status],
        kind,
        len(body),
        body,
    )
