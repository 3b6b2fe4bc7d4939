"""What became of the lines of `heliograph send --wait`: one message per recipient, each with its outcome or none."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.options.plural import plural
from app.cli.output import escaped, say, say_json
from app.cli.queries.message_state import not_taken, state, taken_messages
from app.cli.queries.outcome_reason import why
from app.cli.queries.parked_requests import parked_requests, parked_words
from app.cli.queries.stopped_lanes import stopped_lanes
from app.cli.send.answer_matching import AnswerMatcher, AwaitedMessage, Outcome
from app.kafka.client import kafka_error
from app.kafka.cluster_check import ClusterMismatchError
from app.kafka.progress_monitor import WorkerMonitor
from app.kafka.topic_io import follow
from app.records.topics import Topics

# For what the missing ones wait for.
LOOK_S = 20.0
# By which the clocks of two brokers may differ.
SKEW_MS = 1000


async def wait_for(
    topics: Topics,
    messages: list[AwaitedMessage],
    timeout_s: float,
    client: dict[str, Any],
    found: Callable[[], None],
    workers: WorkerMonitor,
    sent_ms: int,
) -> None:
    """Until every message has its outcome or is a conflict, or the time is over; `found` is called for each. `workers`
    is observed meanwhile, for what the missing ones wait for; `sent_ms`: log time of the first request, which is
    answered after it."""
    matching = AnswerMatcher(messages)
    outcomes = _read(follow(topics.outcomes, client, from_start=True, forever=True), matching.take, found, matching)
    answers = follow(topics.updates, client, from_start=True, forever=True, since_ms=sent_ms - SKEW_MS)
    workers.start(logged=False)
    try:
        async with asyncio.timeout(timeout_s):
            await _first(outcomes, _read(answers, matching.answer, found, matching))
    except TimeoutError:
        missing = plural(matching.left, "outcome is", "outcomes are")
        say(f"{missing} not there after {timeout_s:g} s", err=True)
        await _told(topics, client, messages, workers)
    finally:
        await workers.stop()


async def _read(
    records: AsyncIterator[tuple[Any, dict[str, Any]]],
    take: Callable[[dict[str, Any]], bool],
    found: Callable[[], None],
    matching: AnswerMatcher,
) -> None:
    """Until nothing is left to wait for."""
    async with aclosing(records) as opened:  # type: ignore[type-var] # an asynchronous generator
        async for _, value in opened:
            if take(value):
                found()
            if not matching.left:
                return


async def _first(*reads: Coroutine[Any, Any, None]) -> None:
    """Run all until one returns; raises what one raised."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _told(topics: Topics, client: dict[str, Any], messages: list[AwaitedMessage], workers: WorkerMonitor) -> None:
    """As far as it can be known: whoever may read outcomes need not be allowed to read a worker's tables."""
    missing = [message for message in messages if message.outcome is None]
    try:
        async with asyncio.timeout(LOOK_S):
            await _look(topics, client, missing, workers)
    except (kafka_error(), OSError, ClusterMismatchError) as error:
        for message in missing:
            message.waits = f"not known: the tables cannot be read ({type(error).__name__})"


async def _look(topics: Topics, client: dict[str, Any], missing: list[AwaitedMessage], workers: WorkerMonitor) -> None:
    """What each of them waits for. One whose request was not answered yet is in no row that is its own."""
    stopped = {(row.tenant, row.lane): row for row in await stopped_lanes(topics, client)}
    parked = await parked_requests(topics, client) if any(message.parks for message in missing) else 0
    known = await taken_messages(topics, client, {message.message_id for message in missing} - {""})
    for message in missing:
        message.waits = not_taken(workers.stopped)
        if message.parks and parked:
            message.waits = parked_words(parked) + (f"; {workers.stopped}" if workers.stopped else "")
        if (row := known.get(message.message_id)) is not None:
            message.waits = state(row, stopped, workers.stopped)


def show(messages: list[AwaitedMessage], *, as_json: bool) -> None:
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


def _none(message: AwaitedMessage) -> Outcome:
    masked, message_id = message.identity[2], message.message_id or None
    return {"outcome": None, "recipient": {"masked": masked}, "message_id": message_id, "waits": message.waits}
