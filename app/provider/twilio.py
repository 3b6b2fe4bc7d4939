"""The create call, by the Twilio SDK over an HTTP client of our own, each end of it classified as sent or not sent.

The SDK's own asynchronous client ignores its timeout, can repeat a POST and loses the headers of an error; ours pools,
times out, repeats nothing, and asks the last check when the connection is in hand.
"""

import logging
from contextvars import ContextVar
from typing import Any

import aiohttp
from twilio.base.exceptions import TwilioException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from app.domain.words import ErrorClass, Progress
from app.provider.port import Abandoned, Create, Doubtful, LastCheck, Refused, Result, Taken
from app.provider.words import PROGRESS, error_class

API = "https://api.twilio.com"
CONNECT_S = 3.0
# Shorter than any server's idle limit that we know of: a request on a connection just closed would be in doubt.
KEEPALIVE_S = 3.0


class Flight:
    """One call on its way: whether bytes may have left, and what came back."""

    __slots__ = ("check", "forbidden", "headers", "left", "status")

    def __init__(self, check: LastCheck) -> None:
        self.check, self.left, self.forbidden = check, False, ""
        self.status, self.headers = 0, {}  # type: int, Any


class Forbidden(Exception):
    """The last check refused."""


_flight: ContextVar[Flight] = ContextVar("flight")


async def _connected(_session: Any, context: Any, _params: Any) -> None:
    flight: Flight = context.trace_request_ctx
    if why := flight.check():
        flight.forbidden = why
        raise Forbidden
    flight.left = True


def _traces() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_connected)
    trace.on_connection_reuseconn.append(_connected)
    return trace


class PooledHttpClient(AsyncHttpClient):  # type: ignore[misc] # the SDK is untyped
    """For the SDK: pooled, explicit timeouts, no retries, no logs. Build it inside the running loop."""

    def __init__(self, base_url: str, auth: tuple[str, str], timeout_s: float, limit: int) -> None:
        super().__init__(logging.getLogger("twilio.quiet"), True, None)
        self._base, self._auth = base_url.rstrip("/"), aiohttp.encode_basic_auth(*auth)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(total=timeout_s, connect=min(CONNECT_S, timeout_s)),
            trace_configs=[_traces()],
        )

    async def request(self, method: str, uri: str, **given: Any) -> Response:
        """One HTTP request, to the configured server."""
        flight = _flight.get()
        headers = {**(given.get("headers") or {}), "Authorization": self._auth}
        async with self._session.request(
            method,
            self._base + uri.removeprefix(API),
            params=given.get("params"),
            data=given.get("data"),
            headers=headers,
            allow_redirects=False,
            trace_request_ctx=flight,
        ) as answer:
            flight.status, flight.headers = answer.status, answer.headers
            return Response(answer.status, await answer.text(), answer.headers)

    async def close(self) -> None:
        """Close the pool."""
        await self._session.close()


class TwilioProvider:
    """Sends for one tenant. `credentials`: (account SID or API key SID, its secret)."""

    def __init__(
        self, account_sid: str, credentials: tuple[str, str], base_url: str, timeout_s: float, concurrency: int
    ) -> None:
        self._http = PooledHttpClient(base_url or API, credentials, timeout_s, concurrency)
        self._client = Client(*credentials, account_sid, region=None, http_client=self._http, environment={})

    async def create(self, call: Create, last_check: LastCheck) -> Result:
        """See `Provider`. Never raises for what the network or Twilio does."""
        flight = Flight(last_check)
        _flight.set(flight)
        try:
            message = await self._client.messages.create_async(**_arguments(call))
        except Forbidden:
            return Abandoned(why=flight.forbidden)
        except TwilioException as error:
            return _refused(flight, getattr(error, "code", None))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _broken(flight, error)
        except (ValueError, KeyError, TypeError, AttributeError, UnicodeError):
            return Doubtful(why="unreadable answer", http_status=flight.status)
        return _taken(message)

    async def close(self) -> None:
        """Close the pool."""
        await self._http.close()


def _arguments(call: Create) -> dict[str, Any]:
    given: dict[str, Any] = {
        "to": call.to,
        "status_callback": call.status_callback,
        "validity_period": call.validity_s,
    }
    if call.body:
        given["body"] = call.body
    if call.media:
        given["media_url"] = list(call.media)
    if call.messaging_service_sid:
        given["messaging_service_sid"] = call.messaging_service_sid
    else:
        given["from_"] = call.from_number
    return given


def _taken(message: Any) -> Result:
    if not isinstance(message.sid, str) or message.sid[:2] not in ("SM", "MM"):
        return Doubtful(why="answer without a SID", http_status=201)
    progress = PROGRESS.get(str(message.status), Progress.ACCEPTED)
    segments = str(message.num_segments or "")
    return Taken(sid=message.sid, progress=progress, segments=int(segments) if segments.isdigit() else 0)


def _refused(flight: Flight, code: Any) -> Result:
    """4xx and 429: not sent. 5xx and anything unclear: in doubt (Twilio: a create is not idempotent, error 20500)."""
    status = flight.status
    if not flight.left:
        return Refused(code=None, error=ErrorClass.TRANSIENT, http_status=0)
    if not 400 <= status < 500:
        return Doubtful(why=f"http {status}", http_status=status)
    # The SDK gives the HTTP status as code when the body has none.
    number = code if isinstance(code, int) and code >= 1000 else None
    return Refused(
        code=number,
        error=error_class(number, status),
        http_status=status,
        retry_after_ms=_retry_after_ms(flight.headers.get("Retry-After", "")),
    )


def _broken(flight: Flight, error: BaseException) -> Result:
    if flight.left:
        return Doubtful(why=type(error).__name__, http_status=flight.status)
    return Refused(code=None, error=ErrorClass.TRANSIENT, http_status=0)


def _retry_after_ms(text: str) -> int | None:
    return min(int(text), 3600) * 1000 if text.isdigit() else None
