"""What became of the lines of `heliograph send --wait`: one message per recipient, each with its outcome or none."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import kafka
from app.cli.counted import plural
from app.cli.outcomes import why
from app.cli.parked import parked_requests, parked_words
from app.cli.pending import Identity, not_taken, state, taken_messages
from app.cli.sendfile import Asked
from app.cli.shown import escaped, say, say_json
from app.cli.stopped import stopped_lanes
from app.cli.topicio import follow
from app.domain.media import media_warnings
from app.domain.phone import read_address
from app.domain.words import Priority
from app.records.bulk import MOST_AT_ONCE
from app.records.fit import Unfit
from app.records.monitor import WorkerMonitor
from app.records.requests import NotifyRequested, recipients_of
from app.records.topics import Topics

Outcome = dict[str, Any]
# For what the missing ones wait for.
LOOK_S = 20.0


class Awaited:
    """One message: the same number twice, or the same key and number on two lines, is one. `warnings`: of its media;
    `message_id`, `waits`: of one without an outcome, what it is and what it waits for, as far as it is known; `parks`:
    whether its request names so many recipients that it is expanded in the background."""

    def __init__(self, identity: Identity, warnings: Sequence[str] = (), *, parks: bool = False) -> None:
        self.identity, self.lines, self.warnings, self.parks = identity, list[int](), warnings, parks
        self.outcome: Outcome | None = None
        self.message_id, self.waits = "", ""


def awaited(asked: Iterable[Asked]) -> list[Awaited]:
    """Every message of the lines, in their order; a cancel has none."""
    messages: dict[tuple[str, str, str], Awaited] = {}
    for line, request in asked:
        if not isinstance(request, NotifyRequested):
            continue
        key, recipients = request.idempotency_key or request.id or "", recipients_of(request)
        parks = len(recipients) > MOST_AT_ONCE and request.priority is not Priority.URGENT
        for raw in recipients:
            address = read_address(raw)
            made = Awaited((request.tenant, key, address.masked), media_warnings(request.media), parks=parks)
            message = messages.setdefault((request.tenant, key, address.canonical), made)
            message.lines += [line] if line not in message.lines else []
    return list(messages.values())


class Matching:
    """Gives outcomes to the messages that wait. Two numbers may share a mask: then each gets an outcome of its own."""

    def __init__(self, messages: list[Awaited]) -> None:
        self._open: dict[Identity, list[Awaited]] = {}
        for message in messages:
            self._open.setdefault(message.identity, []).append(message)
        self._known: dict[str, Awaited] = {}
        self.left = len(messages)

    def take(self, outcome: Outcome) -> bool:
        """Whether it is the first outcome of a message that waited; a later revision replaces an earlier one."""
        if (known := self._known.get(outcome["message_id"])) is not None:
            known.outcome = outcome
            return False
        waiting = self._open.get((outcome["tenant"], outcome["idempotency_key"], outcome["recipient"]["masked"]))
        if not waiting:
            return False
        message = self._known[outcome["message_id"]] = waiting.pop(0)
        message.outcome = outcome
        self.left -= 1
        return True


async def wait_for(
    topics: Topics,
    messages: list[Awaited],
    timeout_s: float,
    client: dict[str, Any],
    found: Callable[[], None],
    workers: WorkerMonitor,
) -> None:
    """Until every message has its outcome or the time is over; `found` is called for each. `workers` is observed
    meanwhile, for what the missing ones wait for."""
    workers.start(logged=False)
    try:
        await _wait_for(topics, messages, timeout_s, client, found, workers)
    finally:
        await workers.stop()


async def _wait_for(
    topics: Topics,
    messages: list[Awaited],
    timeout_s: float,
    client: dict[str, Any],
    found: Callable[[], None],
    workers: WorkerMonitor,
) -> None:
    matching = Matching(messages)
    try:
        async with asyncio.timeout(timeout_s):
            async for _, value in follow(topics.outcomes, client, from_start=True, forever=True):
                if matching.take(value):
                    found()
                if not matching.left:
                    return
    except TimeoutError:
        missing = plural(matching.left, "outcome is", "outcomes are")
        say(f"{missing} not there after {timeout_s:g} s", err=True)
        await _told(topics, client, messages, workers)


async def _told(topics: Topics, client: dict[str, Any], messages: list[Awaited], workers: WorkerMonitor) -> None:
    """As far as it can be known: whoever may read outcomes need not be allowed to read a worker's tables."""
    missing = [message for message in messages if message.outcome is None]
    over = {message.outcome["message_id"] for message in messages if message.outcome is not None}
    try:
        async with asyncio.timeout(LOOK_S):
            await _look(topics, client, missing, over, workers)
    except (kafka.errors(), OSError, Unfit) as error:
        for message in missing:
            message.waits = f"not known: the tables cannot be read ({type(error).__name__})"


async def _look(
    topics: Topics, client: dict[str, Any], missing: list[Awaited], over: set[str], workers: WorkerMonitor
) -> None:
    """What each of them waits for; `over`: ids of those that have their outcome."""
    stopped = {(row.tenant, row.lane): row for row in await stopped_lanes(topics, client)}
    parked = await parked_requests(topics, client) if any(message.parks for message in missing) else 0
    known = await taken_messages(topics, client, {message.identity for message in missing})
    for message in missing:
        message.waits = not_taken(workers.stopped)
        if message.parks and parked:
            message.waits = parked_words(parked) + (f"; {workers.stopped}" if workers.stopped else "")
        if rows := [row for row in known.get(message.identity, ()) if row.id not in over]:
            row = rows[0]
            over.add(row.id)
            message.message_id, message.waits = row.id, state(row, stopped, workers.stopped)


def show(messages: list[Awaited], *, as_json: bool) -> None:
    """By line; one without an outcome too. Ids are never cut, so that they can be passed on to `explain`."""
    if as_json:
        for message in messages:
            told = message.outcome or _none(message)
            warnings = {"warnings": message.warnings} if message.warnings else {}
            say_json({"line": message.lines[0], **told, **warnings})
        return
    table = Table("line", "recipient", "outcome", "reason")
    table.add_column("message id", no_wrap=True)
    for message in messages:
        told = message.outcome or {**_none(message), "outcome": "none yet", "reason": message.waits}
        lines = ", ".join(map(str, message.lines))
        cells = (lines, message.identity[2], told["outcome"], why(told), told["message_id"] or "")
        table.add_row(*(Text(escaped(cell)) for cell in cells))  # no markup of rich's either
    console = Console()
    Console(width=max(console.width, 120)).print(table)


def _none(message: Awaited) -> Outcome:
    masked, message_id = message.identity[2], message.message_id or None
    return {"outcome": None, "recipient": {"masked": masked}, "message_id": message_id, "waits": message.waits}
