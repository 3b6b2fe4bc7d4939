"""The first difference between two encoded rows, in words that hold no number, no text and no secret."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

# Shown as "not shown": sealed, or a producer's own, which may hold anything.
HIDDEN = frozenset({"sealed", "sealed_to", "sealed_caller_fields", "fingerprint", "traceparent"})
_SHOWN = re.compile(r"[\w:@.,/ -]{0,100}")
_NUMBER = re.compile(r"(?<![0-9A-Za-z])\+?[0-9]{7,}")
_NONE = object()


class RowDifference(NamedTuple):
    """`field`: a path such as `messages.<key>.attempts[0].progress`; both values as words."""

    field: str
    folded: str
    live: str


def first_difference(folded: bytes, live: bytes) -> RowDifference | None:
    """None if they are the same bytes."""
    if folded == live:
        return None
    try:
        told = msgspec.json.decode(live)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return RowDifference("row", "a row", "not JSON")
    ours = msgspec.json.decode(folded)
    found = next(_differing("", ours, told), None)
    if found is None:
        return RowDifference("row", f"{len(folded)} bytes", f"{len(live)} bytes with the same content in another form")
    path, one, other = found
    hidden = bool(HIDDEN & set(re.split(r"[.\[]", path)))
    return RowDifference(path or "row", _words(one, hidden), _words(other, hidden))


def _differing(path: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            below = f"{path}.{name}" if path else name
            yield from _differing(below, one.get(name, _NONE), other.get(name, _NONE))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            pair = [side[index] if index < len(side) else _NONE for side in (one, other)]
            yield from _differing(f"{path}[{index}]", *pair)
    elif one is not other and (type(one) is not type(other) or one != other):
        yield path, one, other


def _words(value: Any, hidden: bool) -> str:
    if value is _NONE:
        return "nothing"
    if isinstance(value, dict | list):
        return f"{len(value)} {'fields' if isinstance(value, dict) else 'entries'}"
    if hidden or (isinstance(value, str) and (not _SHOWN.fullmatch(value) or _NUMBER.search(value))):
        return "another value, not shown"
    return str(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
