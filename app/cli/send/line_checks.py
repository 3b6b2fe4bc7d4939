"""What `heliograph send` finds before it sends: numbers that will be rejected, and a text that a person gets twice."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from app.cli.send.file import FileLine, ParsedFile, own_fields
from app.config.tenants import Tenant
from app.domain.content.phone import read_address
from app.records.requests import NotifyRequested, recipients_of

REPEATED = "the same text goes to the same person as by an earlier line; --once-per-person sends it once"
DROPPED = "the same text goes to the same person as by an earlier line; it is dropped"


class RepeatedNumber(NamedTuple):
    """A recipient, as written, on a `line` that repeats an earlier line's text to them."""

    line: int
    recipient: str


def bad_numbers(asked: Iterable[ParsedFile], tenants: Mapping[str, Tenant]) -> Iterator[tuple[int, str]]:
    """Each line and rule that a recipient breaks: that message will be `rejected`."""
    for line, request in _requests(asked):
        strict = request.tenant in tenants and tenants[request.tenant].strict_numbers
        for index, raw in enumerate(recipients_of(request)):
            if problem := read_address(raw, strict).problem:
                field = "to" if isinstance(request.to, str) or len(request.to) == 1 else f"to[{index}]"
                yield line, f"{field}: {problem}"


def repeats(asked: Iterable[ParsedFile]) -> list[RepeatedNumber]:
    """Recipients who get the same content at the same time from an earlier line.

    A line with the key of the earlier one is the same message, and no repeat.
    """
    seen: dict[tuple[Any, ...], set[str | None]] = {}
    found = []
    for line, request in _requests(asked):
        content = (request.tenant, request.body, tuple(request.media), request.media_fallback, request.send_at)
        key = request.idempotency_key or request.id
        for raw in recipients_of(request):
            keys = seen.setdefault((*content, read_address(raw).canonical), set())
            if keys and key not in keys:
                found.append(RepeatedNumber(line, raw))
            keys.add(key)
    return found


def without(repeated: Iterable[RepeatedNumber], lines: Iterable[FileLine]) -> Iterator[FileLine]:
    """The lines without those recipients; a line that names nobody else is left out."""
    dropped: dict[int, set[str]] = {}
    for line, recipient in repeated:
        dropped.setdefault(line, set()).add(recipient)
    for one in lines:
        if (gone := dropped.get(one.number)) is None:
            yield one
        elif kept := [raw for raw in _listed(own_fields(one.event)["to"]) if raw not in gone]:
            own_fields(one.event)["to"] = kept
            yield one


def _listed(to: str | list[str]) -> list[str]:
    return [to] if isinstance(to, str) else to


def _requests(asked: Iterable[ParsedFile]) -> Iterator[tuple[int, NotifyRequested]]:
    return ((line, request) for line, request in asked if isinstance(request, NotifyRequested))
