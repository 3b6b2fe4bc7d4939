"""A text that Twilio holds until its time is canceled: `Status=canceled` on its resource.

Twilio refuses what is not scheduled any more (30409). A text that was canceled before, by a request whose answer was
lost, is refused too, so the resource itself is asked then.
"""

import aiohttp
import msgspec

from app.provider.http import Flight, PooledHttpClient, current_flight
from app.provider.provider_api import CancelResult, CreateUnknown
from app.provider.status_mapping import code_of

# Not about the text: credentials, time, too many at once.
_LATER = (401, 403, 407, 408, 429)


class _Said(msgspec.Struct, frozen=True):
    """A message resource, or an error: of both what matters here."""

    status: str | int = ""
    code: int | None = None


_decode = msgspec.json.Decoder(_Said).decode


async def cancel_text(http: PooledHttpClient, account_sid: str, sid: str) -> CancelResult | CreateUnknown:
    """Twilio's word; Doubtful without one: to be asked again. Never raises for what the network or Twilio does."""
    uri = f"/2010-04-01/Accounts/{account_sid}/Messages/{sid}.json"
    status, said = await _asked(http, "POST", uri, {"Status": "canceled"})
    if status == 200 and said is not None:
        return CancelResult(done=said.status == "canceled")
    if said is None or status in _LATER or not 400 <= status < 500:
        return CreateUnknown(why=f"http {status}" if status else "no answer", http_status=status)
    found, resource = await _asked(http, "GET", uri, {})
    if found == 200 and resource is not None:
        return CancelResult(done=resource.status == "canceled", code=said.code)
    if found == 404:
        return CancelResult(done=False, code=said.code)
    return CreateUnknown(why=f"http {found}" if found else "no answer", http_status=found)


async def _asked(http: PooledHttpClient, method: str, uri: str, form: dict[str, str]) -> tuple[int, _Said | None]:
    """HTTP status, 0 if none came, and what could be read."""
    flight = Flight(lambda: None)
    current_flight.set(flight)
    try:
        answer = await http.request(method, uri, data=form)
        said = _decode(answer.text)
        return answer.status_code, msgspec.structs.replace(said, code=code_of(said.code))
    except (aiohttp.ClientError, TimeoutError, OSError):
        return flight.status if flight.status >= 400 else 0, None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return flight.status, None
