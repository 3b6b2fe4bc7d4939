"""Pages of a list as Twilio gives them: newest first, each page naming the next, which new texts do not shift."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from app.simulator.state import State
from app.simulator.text import resource

DEFAULT_SIZE, MAX_SIZE = 50, 1000


class BadPage(Exception):
    """PageSize or Page is not a number that makes sense, or PageToken names no text."""


def page(state: State, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    """One page of what `query` asks for. Raises BadPage."""
    size, number = _number(query, "PageSize", DEFAULT_SIZE), _number(query, "Page", 0)
    size = min(size, MAX_SIZE)
    if not size:
        raise BadPage
    found = state.listed(query)
    start, token = number * size, query.get("PageToken", "")
    if token:
        last = state.texts.get(token.removeprefix("PA"))
        if last is None:
            raise BadPage
        rest = [text for text in found if text.number < last.number]
    else:
        rest = found[start:]
    shown, more = rest[:size], len(rest) > size
    kept = {name: value for name, value in query.items() if name not in ("Page", "PageToken", "PageSize")}

    def uri(which: int, after: str = "") -> str:
        return (
            f"{path}?{urlencode({**kept, 'PageSize': size, 'Page': which, **({'PageToken': after} if after else {})})}"
        )

    return {
        "messages": [resource(state.config.account_sid, text) for text in shown],
        "page": number,
        "page_size": size,
        "start": start,
        "end": start + max(0, len(shown) - 1),
        "uri": uri(number, token),
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1, f"PA{shown[-1].sid}") if more else None,
        "previous_page_uri": uri(number - 1) if number else None,
    }


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if text and not text.isdecimal():
        raise BadPage
    return int(text[:9]) if text else default
