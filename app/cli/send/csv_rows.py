"""CSV files of `heliograph send`: columns named by the first line, and the rows below it as events."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from app.errors import HeliographError

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
METADATA = "metadata."
LISTED = f"{', '.join(COLUMNS)}, {METADATA}NAME"
# Names that may be repeated to the operator: a cell in place of a name may be a phone number or a text.
_SHOWN = re.compile(r"[A-Za-z](?!.*\d{4})[\w .-]{0,39}", re.ASCII)


class FileError(HeliographError, ValueError):
    """What is wrong with the file, with its line where there is one. Quotes nothing of it."""


def read_rows(text: str, warn: Callable[[int, str], None]) -> Iterator[tuple[int, Event]]:
    """The rows that are not empty, as events, each with the line it begins on.

    Args:
        text: the whole file; its first line names the columns.
        warn: called with a line and what is odd about it.

    Raises FileError.
    """
    rows = _cells(text)
    first_line, first = next(rows)
    columns = _columns(first, lambda what: warn(first_line, what))
    for number, cells in rows:
        if not any(cell.strip() for cell in cells):  # as spreadsheets write rows that were cleared
            continue
        if any(cell.strip() for cell in cells[len(columns) :]):
            raise FileError(f"line {number}: has more cells than the first line has columns")
        yield number, _event(columns, cells)


def _event(columns: list[str], cells: list[str]) -> Event:
    event: Event = {}
    for name, cell in zip(columns, cells, strict=False):
        if not (name and cell):
            continue
        if name.startswith(METADATA):
            event.setdefault("metadata", {})[name.removeprefix(METADATA)] = cell
        else:
            event[name] = cell.split() if name == "media" else cell
    return event


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
            raise FileError(f"line {number}: {_told(fault)}") from None
        if cells:
            yield number, cells


def _told(fault: csv.Error) -> str:
    if "field limit" in str(fault):
        return f"a cell is longer than {csv.field_size_limit()} characters"
    if "new-line" in str(fault):
        return "a line ends with a carriage return alone; LF or CR LF is wanted"
    return "a quotation mark is not closed, or text follows the closing one"


def _columns(cells: list[str], warn: Callable[[str], None]) -> list[str]:
    """The name of each column, "" for one that is ignored."""
    names = [_name(cell) for cell in cells]
    if not any(names):
        raise FileError(f"the first line must name the columns, with commas between: {LISTED}")
    for place, (name, cell) in enumerate(zip(names, cells, strict=True), 1):
        if not name and cell.strip():
            shown = f" ({cell.strip()})" if _SHOWN.fullmatch(cell.strip()) else ""
            warn(f"column {place}{shown} is not known and is ignored; columns are {LISTED}")
        if name and name in names[: place - 1]:
            raise FileError(f"column {place}: {name} is there already")
    return names


def _name(cell: str) -> str:
    """Case is as spreadsheets have it, but of the caller's own metadata."""
    cell = cell.strip()
    if cell[: len(METADATA)].lower() == METADATA and len(cell) > len(METADATA):
        return METADATA + cell[len(METADATA) :]
    return cell.lower() if cell.lower() in COLUMNS else ""
