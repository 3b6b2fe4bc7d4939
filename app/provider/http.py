"""The HTTP client that the Twilio SDK is handed: pooled, explicit timeouts, no retries, no redirects, no logs.

The SDK's own asynchronous client ignores its timeout, may repeat a POST and loses the headers of an error. A `Flight`
goes with each call and tells afterwards whether a byte of it may have left, and what the status line said.
"""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from app.provider.port import LastCheck
from app.provider.servers import address

API = "https://api.twilio.com"
CONNECT_S = 3.0
# Shorter than any server's idle limit that we know of: a request on a connection just closed would be in doubt.
KEEPALIVE_S = 3.0


class Forbidden(Exception):
    """The last check refused: no byte left."""


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
        """A connection that may be written to now. Raises Forbidden."""
        connection = await super().connect(req, traces, timeout)
        flight = current_flight.get()
        if why := flight.check():
            connection.release()
            flight.forbidden = why
            raise Forbidden
        flight.left = True
        return connection


class PooledHttpClient(AsyncHttpClient):  # type: ignore[misc] # the SDK is untyped
    """See the module. `limit`: connections at once. Build it inside the running loop."""

    def __init__(self, base_url: str, auth: tuple[str, str], timeout_s: float, limit: int) -> None:
        super().__init__(logging.getLogger("twilio.quiet"), True, None)
        self._base = base_url.rstrip("/")
        # Small answers: identity costs nothing and cannot fail in the middle of decompression.
        self._own = {"Authorization": aiohttp.encode_basic_auth(*auth), "Accept-Encoding": "identity"}
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=AskingConnector(limit=limit, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def request(self, method: str, uri: str, **given: Any) -> Response:
        """One HTTP request, to the configured server. Raises Forbidden, aiohttp.ClientError, TimeoutError, OSError."""
        flight = current_flight.get()
        async with self._session.request(
            method,
            address(self._base, uri),
            params=given.get("params"),
            data=urlencode(given.get("data") or {}, doseq=True).encode(),
            headers={**(given.get("headers") or {}), **self._own},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=flight.total_s or self._timeout_s, connect=min(CONNECT_S, self._timeout_s)
            ),
        ) as answer:
            flight.status, flight.headers = answer.status, answer.headers
            return Response(answer.status, (await answer.read()).decode("utf-8", "replace"), answer.headers)

    async def close(self) -> None:
        """Close the pool."""
        await self._session.close()
