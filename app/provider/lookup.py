"""Lookup v2, line type intelligence: what kind of line a number is. Asked before a text, which must not wait long.

Billed by request. `GET /v2/PhoneNumbers/{number}?Fields=line_type_intelligence` on a host of its own.
"""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from app.domain.model.vocabulary import LineType
from app.provider.http import API, Flight, PooledHttpClient, current_flight

LOOKUP_S = 2.0
TYPES: Mapping[str, LineType] = MappingProxyType(
    {
        "mobile": LineType.MOBILE,
        "landline": LineType.LANDLINE,
        "fixedVoip": LineType.FIXED_VOIP,
        "nonFixedVoip": LineType.NON_FIXED_VOIP,
        "tollFree": LineType.TOLL_FREE,
    }
)


class _Intelligence(msgspec.Struct, frozen=True):
    type: str | None = None
    error_code: int | None = None


class _LookupResource(msgspec.Struct, frozen=True):
    line_type_intelligence: _Intelligence | None = None


_decode = msgspec.json.Decoder(_LookupResource).decode


def lookups_of(base_url: str) -> str:
    """The server that has Lookup: Twilio's own for it, of the same region, else the one that is called for all."""
    base = base_url or API
    host = urlsplit(base).hostname or ""
    ours = host.startswith("api.") and host.endswith(".twilio.com")
    return base.replace("//api.", "//lookups.", 1) if ours else base


async def ask_line_type(http: PooledHttpClient, number: str) -> LineType | None:
    """None if it cannot be told: no answer in `LOOKUP_S`, a refusal, an unreadable one. Never raises for those."""
    current_flight.set(Flight(lambda: None, LOOKUP_S))
    uri = f"/v2/PhoneNumbers/{quote(number, safe='')}"
    try:
        answer = await http.request("GET", uri, params={"Fields": "line_type_intelligence"})
        found = _decode(answer.text).line_type_intelligence if answer.status_code == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if found is None or found.error_code or found.type is None:
        return None
    return TYPES.get(found.type, LineType.OTHER)
