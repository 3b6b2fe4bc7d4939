"""The create call, by the Twilio SDK, each end of it classified as sent, not sent, or in doubt.

Not sent: no connection, an abandoned call, any 4xx (429 included). In doubt: whatever else happens once the request may
have left, 5xx included (Twilio on 20500: a create is not idempotent, a retry may send twice).
"""

import re
from datetime import UTC, datetime
from typing import Any

import aiohttp
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass, LineType
from app.provider.cancel import cancel_text
from app.provider.concurrency_limiter import ConcurrencyLimiter
from app.provider.http import API, Flight, ForbiddenRequestError, PooledHttpClient, Timeouts, current_flight
from app.provider.lookup import ask_line_type, lookups_of
from app.provider.message_list import MessagePage, PageUnavailable, Query, ask_page
from app.provider.provider_api import (
    CancelResult,
    CreateAccepted,
    CreateNotSent,
    CreateRejected,
    CreateRequest,
    CreateUnknown,
    LastCheck,
    Result,
)
from app.provider.status_mapping import PROGRESS, error_class

# Twilio's codes have five digits; the SDK gives the HTTP status where a body has no code.
LEAST_CODE = 10_000
MAX_RETRY_AFTER_S = 3600
_SID = re.compile(r"(SM|MM)[0-9A-Za-z]{1,62}\Z")
OPTIONAL = (
    "content_retention",
    "address_retention",
    "smart_encoded",
    "shorten_urls",
    "risk_check",
    "message_intent",
    "application_sid",
    "provide_feedback",
    "max_price",
)
# Not empty, or the SDK reads TWILIO_EDGE and TWILIO_REGION from the process's environment and rewrites the host.
NO_ENVIRONMENT = {"TWILIO_EDGE": "", "TWILIO_REGION": ""}


class TwilioProvider:
    """Sends for one tenant. `credentials`: (account SID or API key SID, its secret); `gate`: of the account. Build it
    in the running loop."""

    def __init__(
        self,
        account_sid: str,
        credentials: tuple[str, str],
        base_url: str,
        timeouts: Timeouts,
        concurrency: int,
        gate: ConcurrencyLimiter | None = None,
    ) -> None:
        self._account_sid = account_sid
        self._http = PooledHttpClient(base_url or API, credentials, timeouts, concurrency, gate)
        # Another host, and other limits of requests at once.
        self._lookups = PooledHttpClient(lookups_of(base_url), credentials, timeouts, concurrency)
        client = Client(*credentials, account_sid, http_client=self._http, environment=NO_ENVIRONMENT)
        self._messages = client.messages

    async def create(self, call: CreateRequest, last_check: LastCheck) -> Result:
        """Never raises for what the network or Twilio does; what else it raises is a fault of ours."""
        flight = Flight(last_check)
        current_flight.set(flight)
        try:
            message = await self._messages.create_async(**_arguments(call))
        except ForbiddenRequestError:
            return CreateNotSent(why=flight.forbidden)
        except TwilioException as error:
            return _failed(flight, "error", getattr(error, "code", None))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _failed(flight, type(error).__name__)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # What the SDK raises over a 2xx body that is no message resource: there must have been an answer.
            if not flight.status:
                raise
            return _failed(flight, "unreadable answer")
        return _taken(message, flight.status)

    async def page(self, query: Query, after: str = "") -> MessagePage | PageUnavailable:
        """One page of Twilio's message list."""
        return await ask_page(self._http, self._account_sid, query, after)

    async def cancel(self, sid: str) -> CancelResult | CreateUnknown:
        """Cancel a text that Twilio holds until its time."""
        return await cancel_text(self._http, self._account_sid, sid)

    async def line_type(self, number: str) -> LineType | None:
        """The line type of a number by Twilio's Lookup, None if it cannot tell."""
        return await ask_line_type(self._lookups, number)

    def log_in(self, credentials: tuple[str, str]) -> None:
        """Others from the next call on."""
        for http in (self._http, self._lookups):
            http.log_in(credentials)

    async def close(self) -> None:
        """Close the connections of both pools."""
        for http in (self._http, self._lookups):
            await http.close()


def _arguments(call: CreateRequest) -> dict[str, Any]:
    given: dict[str, Any] = {
        "to": call.to,
        "status_callback": call.status_callback,
        "validity_period": call.validity_s,
    }
    if call.body:
        given["body"] = call.body
    if call.media:
        given["media_url"] = list(call.media)
    if call.send_at_ms:
        # Never before its time: whole seconds, rounded up. In UTC, for the SDK writes Z behind whatever time it gets.
        given |= {"schedule_type": "fixed", "send_at": datetime.fromtimestamp(-(-call.send_at_ms // 1000), UTC)}
    if call.messaging_service_sid:
        given["messaging_service_sid"] = call.messaging_service_sid
    if call.from_number:
        given["from_"] = call.from_number
    return given | {name: value for name in OPTIONAL if (value := getattr(call, name)) not in ("", None)}


def _taken(message: Any, http_status: int) -> Result:
    if not isinstance(message.sid, str) or not _SID.match(message.sid):
        return CreateUnknown(why="answer without a SID", http_status=http_status)
    segments = str(message.num_segments or "")
    return CreateAccepted(
        sid=message.sid,
        progress=PROGRESS.get(str(message.status), DeliveryStatus.ACCEPTED),
        segments=int(segments) if segments.isdecimal() and len(segments) < 6 else 0,
    )


def _failed(flight: Flight, why: str, code: Any = None) -> Result:
    """By what is known for sure: whether a byte may have left, and the status line."""
    status = flight.status
    if not flight.left:
        return CreateRejected(code=None, error=ErrorClass.TRANSIENT, http_status=0)
    if not 400 <= status < 500:
        return CreateUnknown(why=f"http {status}" if status >= 300 else why, http_status=status)
    number = _code(code)
    return CreateRejected(
        code=number,
        error=error_class(number, status),
        http_status=status,
        retry_after_ms=_retry_after_ms(flight.headers.get("retry-after", "")),
    )


def _code(given: Any) -> int | None:
    text = str(given)
    number = int(text) if text.isdecimal() and len(text) < 9 else 0
    return number if number >= LEAST_CODE else None


def _retry_after_ms(text: str) -> int | None:
    return min(int(text), MAX_RETRY_AFTER_S) * 1000 if text.isdecimal() and len(text) < 9 else None
