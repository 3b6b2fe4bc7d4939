"""Warnings of `heliograph send` with their lines. Media may be refused by type or size after Twilio took them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.cli.output import say
from app.cli.send.file import ParsedFile
from app.domain.content.media import media_warnings
from app.records.requests import NotifyRequested

Warned = Mapping[str, Sequence[int]]
MOST_LINES = 5


def media_warned(asked: Iterable[ParsedFile]) -> Iterator[tuple[int, str]]:
    """Each line and what may go wrong with its media."""
    for line, request in asked:
        for warning in media_warnings(request.media) if isinstance(request, NotifyRequested) else ():
            yield line, warning


def by_words(warnings: Iterable[tuple[int, str]]) -> Warned:
    """Each warning with the lines it is of: a file often has the same on all of them."""
    found: dict[str, list[int]] = {}
    for line, warning in warnings:
        found.setdefault(warning, []).append(line)
    return {warning: list(dict.fromkeys(lines)) for warning, lines in found.items()}


def tell(warnings: Warned, *, named: bool, kind: str = "warning") -> None:
    """For people; `named`: with the lines of the file."""
    for warning, lines in warnings.items():
        say(f"{kind}: {_where(lines) if named else ''}{warning}", err=True)


def in_json(warnings: Warned, kind: str = "warning") -> dict[str, Any]:
    """A field of the answer, if there is any; texts as those of POST /v1/messages."""
    told = [{"lines": lines, kind: warning} for warning, lines in warnings.items()]
    return {f"{kind}s": told} if told else {}


def _where(lines: Sequence[int]) -> str:
    first = ", ".join(map(str, lines[:MOST_LINES]))
    more = f" and {len(lines) - MOST_LINES} more" if len(lines) > MOST_LINES else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {first}{more}: "
