"""Pages of a list as Twilio gives them: newest first, each page naming the next, which new texts do not shift."""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, islice
from typing import Any
from urllib.parse import urlencode

from app.simulator.state import SimulatorState
from app.simulator.text import StoredText, resource

DEFAULT_SIZE, MAX_SIZE = 50, 1000


class PageError(Exception):
    """PageSize or Page is not a number that makes sense, PageToken names no text, or DateSent is no date."""


def page(state: SimulatorState, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    """One page of what `query` asks for. Raises PageError."""
    size, number = _number(query, "PageSize", DEFAULT_SIZE), _number(query, "Page", 0)
    size, token = min(size, MAX_SIZE), query.get("PageToken", "")
    if not size:
        raise PageError
    start, found = number * size, listed(state, query)
    if token:
        last = state.texts.get(token.removeprefix("PA"))
        if last is None:
            raise PageError
        rest: Iterator[StoredText] = dropwhile(lambda text: text.number >= last.number, found)
    else:
        rest = islice(found, start, None)
    shown = list(islice(rest, size + 1))
    shown, more = shown[:size], len(shown) > size
    uri = _uris(path, query, size)
    return {
        "messages": [resource(state.config.account_sid, text) for text in shown],
        "page": number,
        "page_size": size,
        "start": start,
        "end": start + max(0, len(shown) - 1),
        "uri": uri(number, token),
        "first_page_uri": uri(0, ""),
        "next_page_uri": uri(number + 1, f"PA{shown[-1].sid}") if more else None,
        "previous_page_uri": uri(number - 1, "") if number else None,
    }


def listed(state: SimulatorState, query: Mapping[str, str]) -> Iterator[StoredText]:
    """Newest first, by To, From, DateSent. As with Twilio, what was not sent yet has no DateSent to find it by.

    Raises PageError.
    """
    sender, (after, before) = query.get("From"), _span(query)
    texts = state.newest(query.get("To", ""))
    if sender:
        texts = (text for text in texts if text.sender == sender)
    if math.isinf(after) and math.isinf(before):
        return texts
    return (text for text in texts if text.sent_at is not None and after <= text.sent_at < before)


def _span(query: Mapping[str, str]) -> tuple[float, float]:
    """DateSent: a day (or second); DateSent< and DateSent>: until and from one, inclusive. Unix seconds, GMT."""
    on = query.get("DateSent", "")
    after = query.get("DateSent>") or query.get("DateSent>=") or on
    before = query.get("DateSent<") or query.get("DateSent<=") or on
    return (_moment(after)[0] if after else -math.inf), (_moment(before)[1] if before else math.inf)


def _moment(text: str) -> tuple[float, float]:
    """The first second of a date or time, and the first that is after it. Raises PageError."""
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.timestamp(), (at + (timedelta(days=1) if len(text) <= 10 else timedelta(seconds=1))).timestamp()
    except (ValueError, OverflowError):
        raise PageError from None


def _uris(path: str, query: Mapping[str, str], size: int) -> Callable[[int, str], str]:
    kept = {name: value for name, value in query.items() if name not in ("Page", "PageToken", "PageSize")}

    def uri(which: int, after: str) -> str:
        asked = {**kept, "PageSize": size, "Page": which, **({"PageToken": after} if after else {})}
        return f"{path}?{urlencode(asked)}"

    return uri


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if text and not text.isdecimal():
        raise PageError
    return int(text[:9]) if text else default
