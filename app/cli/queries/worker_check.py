"""What `heliograph doctor` finds of the workers: whether they make progress, and what they had to set aside."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from app.cli.options.plural import plural
from app.cli.output import say
from app.cli.queries.dead_letters import DeadLetterView, read_letters
from app.config.settings import Settings
from app.kafka.batch_watch import SET_ASIDE
from app.kafka.group_progress import Assessment, StopCause
from app.kafka.group_reader import UNREACHABLE
from app.kafka.progress_monitor import WorkerMonitor, describe, names, watch
from app.records.dead_letters import FAULT
from app.records.requests import NOT_SHARED
from app.records.topics import Topics

NO_PROGRESS, OPEN = "ops/runbooks/worker-makes-no-progress.md", "ops/runbooks/open-transaction.md"
ASIDE, LETTERS = "ops/runbooks/record-set-aside.md", "ops/runbooks/dead-letters.md"
# A topic of dead letters may be long; how many seconds it is read for at most.
READ_S = 20.0
NAMED = 3
UNSHARED = "requests for tenants that take none"
ADVICE = {
    StopCause.NO_WORKER: "start heliograph worker; if one ends again and again, its log says why",
    StopCause.NO_PROGRESS: "workers run: their logs tell what they wait for",
    StopCause.PARTITIONS_STALLED: "the log of the worker that has them tells what it waits for",
}


def say_watching(most_s: float) -> None:
    """Say on stderr for how many seconds at most the workers are watched."""
    say(f"..  watching whether workers make progress, for {most_s:.0f} s at most", err=True)


def silent(_most_s: float) -> None:
    """For output that a program reads."""


async def stopped_workers(settings: Settings, tenants: Iterable[str], waiting: Callable[[float], None]) -> str:
    """That no worker makes progress and since when, "" if one does; where records wait it takes the stall timeout."""
    try:
        now = await watch(WorkerMonitor.of(settings, tenants), waiting)
    except UNREACHABLE as error:
        return f"whether a worker makes progress is not known ({type(error).__name__})"
    return describe(now) if now.stopped else ""


async def worker_findings(
    settings: Settings, tenants: Iterable[str], waiting: Callable[[float], None]
) -> AsyncIterator[tuple[str, str]]:
    """What was looked at and what is wrong with it, "" if nothing. `waiting`: see `watch`."""
    try:
        now = await watch(WorkerMonitor.of(settings, tenants), waiting)
    except UNREACHABLE as error:
        yield "workers", f"not known: their consumer group {settings.group} cannot be read ({type(error).__name__})"
        return
    yield "workers", _progress(now, settings.group)
    held = f"{names(now.transactions)}: held back by an open transaction of a producer; runbook {OPEN}"
    yield "open transactions", held if now.transactions else ""


def _progress(now: Assessment, group: str) -> str:
    if now.cause is StopCause.NONE:
        return ""
    where = (
        f"consumer group {group}: {plural(now.members, 'member')}, {plural(sum(now.lag.values()), 'record')} waiting"
    )
    return f"{describe(now)} ({where}); {ADVICE[now.cause]}; runbook {NO_PROGRESS}"


async def letter_findings(topics: Topics, client: dict[str, Any]) -> AsyncIterator[tuple[str, str]]:
    """Records that the poison guard set aside, and contacts that are frozen since: from the dead letters."""
    try:
        async with asyncio.timeout(READ_S):
            letters = list((await read_letters(topics.deadletters, client)).values())
    except TimeoutError:
        yield "records set aside", f"not known: {topics.deadletters} takes longer than {READ_S:g} s; runbook {LETTERS}"
        return
    letters = _by_source(letters)
    unshared = [letter for letter in letters if letter.handled is None and letter.record.rule == NOT_SHARED]
    yield "requests on the shared topic", _told(unshared, "request for a tenant that takes none", LETTERS, UNSHARED)
    yield "records set aside", _told([letter for letter in letters if _aside(letter)], "record", ASIDE)
    frozen = [letter for letter in letters if _freezes(letter, topics.contacts)]
    yield "frozen contacts", _told(frozen, "input of a frozen contact", LETTERS, "inputs of frozen contacts")


def _by_source(letters: list[DeadLetterView]) -> list[DeadLetterView]:
    """One letter for each record: a start that sets a record aside again repeats its letter, and what was done with one
    of them was done with the record."""
    found: dict[str, DeadLetterView] = {}
    for letter in letters:
        if (before := found.get(letter.record.source)) is None or before.handled is None:
            found[letter.record.source] = letter
    return list(found.values())


def _aside(letter: DeadLetterView) -> bool:
    return letter.handled is None and letter.record.rule.startswith(SET_ASIDE)


def _freezes(letter: DeadLetterView, contacts: str) -> bool:
    """A letter that was dropped leaves its contact frozen; one that was retried does not."""
    retried = letter.handled is not None and letter.handled.how == "retried"
    return letter.topic == contacts and not retried and letter.record.rule.startswith((FAULT, SET_ASIDE))


def _told(letters: list[DeadLetterView], one: str, runbook: str, many: str = "") -> str:
    if not letters:
        return ""
    named = ", ".join(letter.letter_id for letter in letters[-NAMED:])
    return (
        f"{plural(len(letters), one, many)}, the last as dead letter {named}: heliograph deadletters; runbook {runbook}"
    )
