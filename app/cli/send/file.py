"""Files of `heliograph send`: CSV with a first line of columns, or one JSON object per line, into notify events."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from app import clock
from app.cli.send.csv_rows import Event, FileError, read_rows
from app.records.codec import InvalidFieldError, InvalidJsonError, decode_tolerant
from app.records.requests import NotifyRequest, read_request

# Lines that cannot be read of which the fault is told.
MOST_FAULTS = 20


class FileLine(NamedTuple):
    """An event and the line of the file it begins on, counted from 1."""

    number: int
    event: Event


class ParsedFile(NamedTuple):
    """A line as its reader will understand it."""

    line: int
    request: NotifyRequest


def read_lines(
    name: str, content: bytes, defaults: Mapping[str, Any], warn: Callable[[int, str], None] = lambda line, what: None
) -> list[FileLine]:
    """The events of a file, each with an idempotency key.

    Args:
        name: that of the file, for people.
        defaults: for lines that lack the field.
        warn: called with a line and what is odd about it.

    Raises FileError.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(f"{name}: is not text in UTF-8") from None
    if not text.strip():
        raise FileError(f"nothing to send: {name} is empty")
    if text.lstrip().startswith("["):
        raise FileError(f"{name}: is a JSON array; one object per line is wanted")
    rows = list(_objects(text, warn) if text.lstrip().startswith("{") else read_rows(text, warn))
    if not rows:
        raise FileError(f"nothing to send: {name} has no line below its columns")
    return keyed([FileLine(number, _filled(row, defaults)) for number, row in rows])


def keyed(lines: list[FileLine], salt: bytes = b"") -> list[FileLine]:
    """A key for each line without one, from its content, its ordinal among equal lines and the `salt`; and an id of the
    event for each without one, by which its answer on notify.updates is known."""
    lines = _keyed(lines, salt)
    for _, event in lines:
        own = own_fields(event)
        if not (own.get("id") or event.get("id")):
            own["id"] = clock.new_id()
    return lines


def _keyed(lines: list[FileLine], salt: bytes) -> list[FileLine]:
    seen: Counter[bytes] = Counter()
    for _, event in lines:
        own = own_fields(event)
        if own.get("idempotency_key") or (own is not event and (own.get("id") or event.get("id"))):
            continue
        content = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
        seen[content] += 1
        digest = hashlib.sha256(content + (salt or b"%d" % seen[content])).hexdigest()
        own["idempotency_key"] = f"send-{digest[:24]}"
    return lines


def single(event: Event) -> FileLine:
    """One message from the command line: sent anew each time, unless it names a key."""
    return keyed([FileLine(1, {"type": "notify.requested.v1", **event})], os.urandom(8))[0]


class BadLinesError(FileError):
    """Lines that cannot be read as requests: `faults` names the first of them; `good`: the others."""

    def __init__(self, faults: list[str], good: list[ParsedFile]) -> None:
        super().__init__(faults[0])
        more = [f"{len(faults) - MOST_FAULTS} more lines cannot be read"] if len(faults) > MOST_FAULTS else []
        self.faults, self.good = [*faults[:MOST_FAULTS], *more], good


def asked(lines: list[FileLine], *, named: bool = True) -> list[ParsedFile]:
    """Every line as intake will read it. Raises BadLinesError with line (if `named`), field and rule of each that it
    cannot."""
    good, faults = list[ParsedFile](), list[str]()
    for number, event in lines:
        try:
            good.append(ParsedFile(number, read_request(orjson.dumps(event))))
        except InvalidFieldError as bad:
            faults.append(f"line {number}: {bad.field}: {bad.rule}" if named else f"{bad.field}: {bad.rule}")
    if faults:
        raise BadLinesError(faults, good)
    return good


def own_fields(event: Event) -> Event:
    """Where our fields are: in `data` of a CloudEvent, else in the event."""
    data = event.get("data")
    return data if "specversion" in event and isinstance(data, dict) else event


def _filled(row: Event, defaults: Mapping[str, Any]) -> Event:
    event = {"type": "notify.requested.v1", **row}
    own = own_fields(event)
    own |= {name: value for name, value in defaults.items() if not own.get(name)}
    return event


def _objects(text: str, warn: Callable[[int, str], None]) -> Iterator[tuple[int, Event]]:
    # Not splitlines: JSON strings may hold U+2028 and its like.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removeprefix("\ufeff")  # of files that were put together
        if line.strip():
            yield number, _object(number, line, warn)


def _object(number: int, line: str, warn: Callable[[int, str], None]) -> Event:
    try:
        row, replaced = decode_tolerant(_any_json, line.encode())
    except InvalidFieldError:
        raise FileError(f"line {number}: is not JSON") from None
    if not isinstance(row, dict):
        raise FileError(f"line {number}: must be an object")
    for what in replaced:
        warn(number, what)
    return row


def _any_json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidJsonError from None
