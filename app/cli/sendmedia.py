"""What `heliograph send` says of media before it sends: Twilio may refuse some by type or size, after it took them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from app.cli.sendfile import Asked
from app.domain.media import media_warnings
from app.records.requests import NotifyRequested

Warned = Mapping[str, Sequence[int]]
MOST_LINES = 5


def warned(asked: Iterable[Asked]) -> Warned:
    """Each warning with the lines it is of: a file often has the same media on all of them."""
    found: dict[str, list[int]] = {}
    for line, request in asked:
        for warning in media_warnings(request.media) if isinstance(request, NotifyRequested) else ():
            found.setdefault(warning, []).append(line)
    return found


def tell(warnings: Warned, *, named: bool) -> None:
    """For people; `named`: with the lines of the file."""
    for warning, lines in warnings.items():
        click.echo(f"warning: {_where(lines) if named else ''}{warning}", err=True)


def in_json(warnings: Warned) -> dict[str, Any]:
    """A field of the answer, if there is any; texts as those of POST /v1/messages."""
    told = [{"lines": lines, "warning": warning} for warning, lines in warnings.items()]
    return {"warnings": told} if told else {}


def _where(lines: Sequence[int]) -> str:
    first = ", ".join(map(str, lines[:MOST_LINES]))
    more = f" and {len(lines) - MOST_LINES} more" if len(lines) > MOST_LINES else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {first}{more}: "
