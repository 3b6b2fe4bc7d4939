"""Who may ask for what an account holds, and how lists of it are shown in pages."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.simulator import rules
from app.simulator.account_data import SimulatedAccount
from app.simulator.config import SimulatorConfig
from app.simulator.rules import CreateRejection

DEFAULT_SIZE, MAX_SIZE = 50, 1000
# Twilio: with test credentials every resource but a few creates answers so.
TEST_ONLY = CreateRejection(20008, "Resource not accessible with Test Account Credentials", 403)
MISSING = CreateRejection(20001, "A required parameter is missing")


def answered(status: int, content: Any) -> Response:
    """A JSON response with this status."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def refused(refusal: CreateRejection) -> Response:
    """Twilio's error, in its older form."""
    return answered(refusal.status, refusal.content())


class AccountAccess:
    """Basic auth. As with Twilio's standard API keys, a key may not read the account itself."""

    def __init__(self, config: SimulatorConfig, holdings: SimulatedAccount) -> None:
        self._account, self._holdings = config.account_sid, holdings
        self._own = _basic(config.account_sid, config.auth_token)
        self._keys = {_basic(sid, secret) for sid, secret in config.api_keys.items()}

    def refusal(self, request: Request, *, keys: bool = True) -> CreateRejection | None:
        """Why this request may not read or write; None if it may. `keys`: whether an API key is enough."""
        self._holdings.asked += 1
        given = request.headers.get("authorization", "")
        if given != self._own and not (keys and given in self._keys):
            return rules.UNAUTHORISED
        if request.path_params.get("account", self._account) != self._account:
            return rules.NOT_FOUND
        return TEST_ONLY if self._holdings.account.test else None


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def form(request: Request) -> dict[str, str]:
    """The fields; the last of a repeated name counts."""
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


def legacy_page(name: str, path: str, rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """A page in the form of the 2010-04-01 API: relative URIs."""
    shown, number, size, more = _cut(rows, query)
    following = f"{path}?{_query(query, number + 1, size)}" if more else None
    return {name: shown, "page": number, "page_size": size, "uri": path, "next_page_uri": following}


def page(name: str, url: str, rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """A page in the form of the v1 APIs: `meta` with absolute URLs."""
    shown, number, size, more = _cut(rows, query)
    following = f"{url}?{_query(query, number + 1, size)}" if more else None
    meta = {"key": name, "page": number, "page_size": size, "url": url, "next_page_url": following}
    return {name: shown, "meta": {**meta, "first_page_url": url, "previous_page_url": None}}


def _cut(rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> tuple[Sequence[dict[str, Any]], int, int, bool]:
    size = min(max(1, _number(query, "PageSize", DEFAULT_SIZE)), MAX_SIZE)
    number = _number(query, "Page", 0)
    end = (number + 1) * size
    return rows[number * size : end], number, size, len(rows) > end


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text[:9]) if text.isdecimal() else default


def _query(query: Mapping[str, str], number: int, size: int) -> str:
    return urlencode({**query, "Page": number, "PageSize": size})
