"""Files of `heliograph send`: CSV with a first line of columns, or one JSON object per line, into notify events."""

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from app import clock
from app.records.codec import Unreadable
from app.records.requests import NotifyRequest, read_request

Event = dict[str, Any]
COLUMNS = (
    "to",
    "body",
    "media",
    "media_fallback",
    "category",
    "priority",
    "sender",
    "send_at",
    "expires_at",
    "campaign",
    "idempotency_key",
    "tenant",
)
_LISTED = ", ".join(COLUMNS)


class BadFile(ValueError):
    """What is wrong with the file, with its line where there is one. Quotes nothing of it."""


class Line(NamedTuple):
    """An event and the line of the file it begins on, counted from 1."""

    number: int
    event: Event


class Asked(NamedTuple):
    """A line as its reader will understand it."""

    line: int
    request: NotifyRequest


def read_lines(name: str, content: bytes, defaults: Mapping[str, Any]) -> list[Line]:
    """The events of a file, each with an idempotency key; `defaults` are for lines that lack the field.

    Raises BadFile. `name` is that of the file, for people.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile(f"{name}: is not text in UTF-8") from None
    if not text.strip():
        raise BadFile(f"nothing to send: {name} is empty")
    if text.lstrip().startswith("["):
        raise BadFile(f"{name}: is a JSON array; one object per line is wanted")
    rows = list(_objects(text) if text.lstrip().startswith("{") else _rows(text))
    if not rows:
        raise BadFile(f"nothing to send: {name} has no line below its columns")
    return keyed([Line(number, _filled(row, defaults)) for number, row in rows])


def keyed(lines: list[Line], salt: bytes = b"") -> list[Line]:
    """A key for each line without one, from its content, its ordinal among equal lines and the `salt`; and an id of the
    event for each without one, by which its answer on notify.updates is known."""
    lines = _keyed(lines, salt)
    for _, event in lines:
        own = _own(event)
        if not (own.get("id") or event.get("id")):
            own["id"] = clock.new_id()
    return lines


def _keyed(lines: list[Line], salt: bytes) -> list[Line]:
    seen: Counter[bytes] = Counter()
    for _, event in lines:
        own = _own(event)
        if own.get("idempotency_key") or (own is not event and (own.get("id") or event.get("id"))):
            continue
        content = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
        seen[content] += 1
        digest = hashlib.sha256(content + (salt or b"%d" % seen[content])).hexdigest()
        own["idempotency_key"] = f"send-{digest[:24]}"
    return lines


def single(event: Event) -> Line:
    """One message from the command line: sent anew each time, unless it names a key."""
    return keyed([Line(1, {"type": "notify.requested.v1", **event})], os.urandom(8))[0]


def asked(lines: list[Line], *, named: bool = True) -> list[Asked]:
    """Every line as intake will read it. Raises BadFile with line (if `named`), field and rule."""
    return [Asked(number, _asked(event, f"line {number}: " if named else "")) for number, event in lines]


def _asked(event: Event, where: str) -> NotifyRequest:
    try:
        return read_request(orjson.dumps(event))
    except Unreadable as bad:
        raise BadFile(f"{where}{bad.field}: {bad.rule}") from None


def _own(event: Event) -> Event:
    """Where our fields are: in `data` of a CloudEvent, else in the event."""
    data = event.get("data")
    return data if "specversion" in event and isinstance(data, dict) else event


def _filled(row: Event, defaults: Mapping[str, Any]) -> Event:
    event = {"type": "notify.requested.v1", **row}
    own = _own(event)
    own |= {name: value for name, value in defaults.items() if not own.get(name)}
    return event


def _objects(text: str) -> Iterator[tuple[int, Event]]:
    # Not splitlines: JSON strings may hold U+2028 and its like.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _object(number, line)


def _object(number: int, line: str) -> Event:
    try:
        row: Event = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise BadFile(f"line {number}: is not JSON") from None
    if not isinstance(row, dict):
        raise BadFile(f"line {number}: must be an object")
    return row


def _rows(text: str) -> Iterator[tuple[int, Event]]:
    rows = _cells(text)
    _, first = next(rows)
    columns = _columns(first)
    for number, cells in rows:
        if len(cells) > len(columns):
            raise BadFile(f"line {number}: has more cells than the first line has columns")
        row: Event = {name: cell for name, cell in zip(columns, cells, strict=False) if cell}
        if "media" in row:
            row["media"] = row["media"].split()
        yield number, row


def _cells(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line it begins on: a quoted cell may hold several."""
    # Strict: a quotation mark that is never closed would make one long text of all that follows.
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            raise BadFile(f"line {number}: {_told(fault)}") from None
        if cells:
            yield number, cells


def _told(fault: csv.Error) -> str:
    if "field limit" in str(fault):
        return f"a cell is longer than {csv.field_size_limit()} characters"
    if "new-line" in str(fault):
        return "a line ends with a carriage return alone; LF or CR LF is wanted"
    return "a quotation mark is not closed, or text follows the closing one"


def _columns(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if not set(names) & set(COLUMNS):
        raise BadFile(f"the first line must name the columns, with commas between: {_LISTED}")
    for place, name in enumerate(names, 1):
        if name not in COLUMNS:
            # Not by its name: it may be a number or a text.
            raise BadFile(f"column {place} is not known; columns are {_LISTED}")
        if name in names[: place - 1]:
            raise BadFile(f"column {place}: {name} is there already")
    return names
