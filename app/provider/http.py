"""The HTTP client that the Twilio SDK is handed: pooled, explicit timeouts, no retries, no redirects, no logs.

The SDK's own asynchronous client ignores its timeout, may repeat a POST and loses the headers of an error. A `Flight`
goes with each call and tells afterwards whether a byte of it may have left, and what the status line and headers said;
the account's gate is told them too.
"""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from app.errors import HeliographError
from app.provider.concurrency_limiter import ConcurrencyLimiter
from app.provider.provider_api import LastCheck
from app.provider.request_url import address

API = "https://api.twilio.com"
# Shorter than any server's idle limit that we know of: a request on a connection just closed would be in doubt.
KEEPALIVE_S = 3.0
# A page of the list holds a thousand texts, each of some kB.
MOST_BYTES = 32 << 20


class ForbiddenRequestError(HeliographError):
    """The last check refused: no byte left."""


class Timeouts(NamedTuple):
    """Seconds: to make a connection, TLS included; between two parts of an answer; for the whole."""

    connect: float
    read: float
    total: float

    def of(self, total_s: float) -> aiohttp.ClientTimeout:
        """`total_s`: instead of the usual ones, for an answer that is slow to make; 0: the usual ones."""
        total = total_s or self.total
        return aiohttp.ClientTimeout(
            total=total, connect=min(self.connect, total), sock_read=None if total_s else min(self.read, total)
        )


class Flight:
    """One call on its way. `status` 0: no status line came; `left`: bytes may have left. `total_s` 0: the client's."""

    __slots__ = ("check", "forbidden", "headers", "left", "status", "total_s")

    def __init__(self, check: LastCheck, total_s: float = 0.0) -> None:
        self.check, self.left, self.forbidden, self.total_s = check, False, "", total_s
        self.status: int = 0
        self.headers: Mapping[str, str] = {}


current_flight: ContextVar[Flight] = ContextVar("current_flight")


class AskingConnector(aiohttp.TCPConnector):
    """Asks the last check when the connection is in hand; a refusal puts the connection back, unused."""

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """A connection that may be written to now. Raises ForbiddenRequestError."""
        connection = await super().connect(req, traces, timeout)
        flight = current_flight.get()
        if why := flight.check():
            connection.release()
            flight.forbidden = why
            raise ForbiddenRequestError
        flight.left = True
        return connection


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """The whole of it. Raises aiohttp.ClientPayloadError if it is longer than any answer of Twilio's."""
    parts, size = [], 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > MOST_BYTES:
            raise aiohttp.ClientPayloadError(f"longer than {MOST_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


class PooledHttpClient(AsyncHttpClient):  # type: ignore[misc] # the SDK is untyped
    """`limit`: connections at once; `gate`: of the account. Build it inside the running loop."""

    def __init__(
        self,
        base_url: str,
        credentials: tuple[str, str],
        timeouts: Timeouts,
        limit: int,
        gate: ConcurrencyLimiter | None = None,
    ) -> None:
        super().__init__(logging.getLogger("twilio.quiet"), True, None)
        self._base = base_url.rstrip("/")
        self.log_in(credentials)
        self._timeouts, self._gate = timeouts, gate or ConcurrencyLimiter(limit)
        self._session = aiohttp.ClientSession(
            connector=AskingConnector(limit=limit, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def log_in(self, credentials: tuple[str, str]) -> None:
        """Account SID or API key SID, and its secret, from the next request on."""
        # Small answers: identity costs nothing and cannot fail in the middle of decompression.
        self._own = {"Authorization": aiohttp.encode_basic_auth(*credentials), "Accept-Encoding": "identity"}

    async def request(self, method: str, uri: str, **given: Any) -> Response:
        """One HTTP request, to the configured server. Raises ForbiddenRequestError, aiohttp.ClientError,
        TimeoutError, OSError."""
        flight, begun = current_flight.get(), self._gate.begin()
        async with self._session.request(
            method,
            address(self._base, uri),
            params=given.get("params"),
            data=urlencode(given.get("data") or {}, doseq=True).encode(),
            headers={**(given.get("headers") or {}), **self._own},
            allow_redirects=False,
            timeout=self._timeouts.of(flight.total_s),
        ) as answer:
            flight.status, flight.headers = answer.status, answer.headers
            self._gate.answered(begun, answer.status, answer.headers)
            return Response(answer.status, (await _body(answer)).decode("utf-8", "replace"), answer.headers)

    async def close(self) -> None:
        """Close the connections of the pool."""
        await self._session.close()
