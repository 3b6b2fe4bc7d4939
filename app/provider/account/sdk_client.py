"""Calls by the Twilio SDK that are no create of a text: what they answer, or `UnansweredCallError`."""

import re
from collections.abc import Awaitable
from typing import Any, TypeVar

import aiohttp
import orjson
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from app.errors import HeliographError
from app.provider.http import API, Flight, PooledHttpClient, Timeouts, current_flight
from app.provider.twilio import NO_ENVIRONMENT

# A page of a thousand is slower to make than one text to take.
CONNECT_S, ASK_S = 5.0, 30.0
AT_ONCE = 4
T = TypeVar("T")


class UnansweredCallError(HeliographError):
    """Twilio refused, or did not answer in its own form. `status` 0: no status line came; `code` 0: none was given.

    It holds nothing that Twilio said in words, which may quote a number.
    """

    def __init__(self, why: str, status: int = 0, code: int = 0) -> None:
        super().__init__(f"{why} ({code})" if code else why)
        self.why, self.status, self.code = why, status, code


class SdkClient:
    """A client of the SDK over our HTTP client, for one pair of credentials. Build it in the running loop."""

    def __init__(self, account_sid: str, credentials: tuple[str, str], base_url: str) -> None:
        self._http = PooledHttpClient(base_url or API, credentials, Timeouts(CONNECT_S, ASK_S, ASK_S), AT_ONCE)
        self.sdk: Any = Client(*credentials, account_sid, http_client=self._http, environment=NO_ENVIRONMENT)

    async def __aenter__(self) -> "SdkClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()


async def asked(call: Awaitable[T]) -> T:
    """What a call of the SDK returns. Raises UnansweredCallError for whatever the network or Twilio does."""
    flight = Flight(lambda: None, ASK_S)
    current_flight.set(flight)
    try:
        return await call
    except TwilioException as error:
        raise UnansweredCallError(f"http {flight.status}", flight.status, _code(error)) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnansweredCallError(type(error).__name__, flight.status) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # What the SDK raises over a 2xx body that is not the resource.
        raise UnansweredCallError("unreadable answer", flight.status) from None


def _code(error: TwilioException) -> int:
    """Twilio's codes have five digits; of a page the SDK keeps the response only."""
    given = getattr(error, "code", None)
    if given is None and len(error.args) > 1:
        try:
            given = orjson.loads(error.args[1].text).get("code")
        except (orjson.JSONDecodeError, AttributeError):
            given = None
    return int(str(given)) if re.fullmatch("[0-9]{5}", str(given)) else 0
