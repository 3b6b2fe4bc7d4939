"""`heliograph deadletters`: what could not be read or was refused; looked at, produced again, or done with."""

import asyncio
import base64
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec
import orjson
from aiokafka.errors import MessageSizeTooLargeError

from app.cli.options.operator import by_option, recorded
from app.cli.options.plural import plural
from app.cli.options.timestamps import moment
from app.cli.output import raw, say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS, USAGE, give_up
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.cli.queries.dead_letter_reproduction import DeadLetterReproduction, escaped, produce, reproduction
from app.cli.queries.dead_letters import (
    DeadLetterProducer,
    DeadLetterView,
    about,
    append,
    handled,
    line,
    mark,
    newest_first,
    read_letters,
    topic_of,
)
from app.config.settings import Settings
from app.kafka.client import client_settings
from app.records.dead_letter_content import OpenedContent
from app.records.dead_letters import RETRY_OF, NotifyDeadletterOpened, open_letter, place_of
from app.records.seal import Sealer, UnsealError
from app.records.topics import Topics

LETTER_ID = re.compile(r"\d{1,9}-\d{1,18}\Z", re.ASCII)


def _ids(_context: click.Context, _parameter: click.Parameter, given: str | tuple[str, ...]) -> Any:
    for letter_id in (given,) if isinstance(given, str) else given:
        if not LETTER_ID.match(letter_id):
            raise click.BadParameter("must be partition-offset, as `deadletters list` shows it")
    return given


_many = click.argument("letter_ids", nargs=-1, required=True, callback=_ids)


@click.group("deadletters")
def command() -> None:
    """List, show, retry and drop dead letters."""


@command.command("list")
@click.option("--since", callback=moment, help="Only from then on: RFC 3339 with offset, or 30s, 15m, 2h, 7d ago.")
@click.option("--field", help="Only with this field at fault.")
@click.option("--topic", help="Only of records that came from this topic; `ingress` for the door's own.")
@click.option("--all", "everything", is_flag=True, help="Those that were retried or dropped too.")
@click.option("--json", "as_json", is_flag=True, help="One object per line.")
def list_letters(since: int | None, field: str | None, topic: str | None, everything: bool, as_json: bool) -> None:
    """List dead letters, newest first. Nothing sealed is opened.

    \b
    Examples:
      heliograph deadletters list --since 2h
      heliograph deadletters list --topic contacts --field tenant --json
    """
    settings, _ = settings_or_exit(dict(os.environ))
    topics = (topic, settings.topic_prefix + (topic or ""))
    with reaching_kafka(settings):
        letters = asyncio.run(read_letters(topic_of(settings), client_settings(settings), since))
    for letter in newest_first(letters):
        asked = field in (None, letter.record.field) and (topic is None or letter.topic in topics)
        if asked and (everything or letter.handled is None):
            say_json(letter.view()) if as_json else say(line(letter))


@command.command("show")
@click.argument("letter_id", callback=_ids)
@click.option("--reveal", is_flag=True, help="Open the seal (needs HELIOGRAPH_SEAL_KEYS); that it was is kept.")
@by_option
@raw
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(letter_id: str, reveal: bool, by: str, as_json: bool) -> None:
    """Show one dead letter. With --reveal also the record it is about, number and text and all.

    \b
    Examples:
      heliograph deadletters show 3-17
      heliograph deadletters show 3-17 --reveal --by ada
    """
    settings, _ = settings_or_exit(dict(os.environ))
    with reaching_kafka(settings):
        sys.exit(asyncio.run(_show(settings, letter_id, reveal, by, as_json)))


async def _show(settings: Settings, letter_id: str, reveal: bool, by: str, as_json: bool) -> int:
    letter = (await _found(settings, [letter_id]))[0]
    view = letter.view()
    if reveal:
        opened = _opened(settings, letter)
        told = NotifyDeadletterOpened(**about(letter), **recorded(by))
        await append(settings, [(letter, told)])
        say(f"kept on {topic_of(settings)}: letter {letter_id} was opened by {by}", err=True)
        view |= _content(opened)
    if as_json:
        say_json(view)
    else:
        for name, value in view.items():
            say(f"{name:8} {value if isinstance(value, str | int) else orjson.dumps(value).decode()}")
    return OK


@command.command("retry")
@_many
@click.option("--yes", is_flag=True, help="Do not ask.")
@by_option
@click.option("--json", "as_json", is_flag=True, help="One object per record.")
def retry(letter_ids: tuple[str, ...], yes: bool, by: str, as_json: bool) -> None:
    """Produce the records again. Each goes to the topic it came from, with its key and headers.

    Nothing is sent twice by it: a request keeps the identity it had, with or without an idempotency key. All letters
    must be fit for it (there, whole, not handled, opened by HELIOGRAPH_SEAL_KEYS), or nothing is produced. A header
    whose name is not UTF-8 cannot be produced again; it is left out, and named.

    \b
    Examples:
      heliograph deadletters retry 3-17
      heliograph deadletters retry 3-17 5-2 --yes --by ada
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    with reaching_kafka(settings):
        letters = asyncio.run(_found(settings, letter_ids))
        records = [_again(settings, tenants, letter) for letter in letters]
        for letter, record in zip(letters, records, strict=True):
            for name in record.left_out:
                say(f"{letter.letter_id}: header {name} is left out: its name is not UTF-8", err=True)
        if not yes:
            topics = ", ".join(sorted({letter.topic for letter in letters}))
            click.confirm(f"Produce {plural(len(letters), 'record')} again to {topics}?", abort=True, err=True)
        asyncio.run(_retry(settings, letters, records, by, as_json))


@command.command("drop")
@_many
@by_option
@click.option("--json", "as_json", is_flag=True, help="One object.")
def drop(letter_ids: tuple[str, ...], by: str, as_json: bool) -> None:
    """Mark dead letters as handled. `list` shows them no more. They stay on the topic for as long as it keeps them.

    \b
    Example:
      heliograph deadletters drop 3-17 5-2 --by ada
    """
    settings, _ = settings_or_exit(dict(os.environ))
    with reaching_kafka(settings):
        letters = asyncio.run(_found(settings, letter_ids))
        asyncio.run(append(settings, [(letter, handled(letter, "dropped", by)) for letter in letters]))
    dropped = [letter.letter_id for letter in letters]
    say_json({"dropped": dropped}) if as_json else say(f"dropped {len(dropped)}")


async def _found(settings: Settings, letter_ids: Sequence[str]) -> list[DeadLetterView]:
    """In the order asked for, each once; exit 1 naming those that are not there."""
    wanted = list(dict.fromkeys(letter_ids))
    letters = await read_letters(topic_of(settings), client_settings(settings), wanted=set(wanted))
    if missing := [letter_id for letter_id in wanted if letter_id not in letters]:
        give_up(*(f"{letter_id}: is no letter on {topic_of(settings)}" for letter_id in missing), code=PROBLEMS)
    return [letters[letter_id] for letter_id in wanted]


def _again(settings: Settings, tenants: Iterable[str], letter: DeadLetterView) -> DeadLetterReproduction:
    """The record to produce. Exit 1 for a letter that was handled, that is cut, or that came from no topic of ours."""
    known = {topic.name for topic in Topics(settings.topic_prefix, settings.group, tenants).all.values()}
    place = place_of(letter.record.source)
    if (done := letter.handled) is not None:
        give_up(f"{letter.letter_id}: was {done.how} by {done.by} at {done.at} already", code=PROBLEMS)
    if place is None or place[0] not in known:
        give_up(f"{letter.letter_id}: its record came from no topic of ours ({letter.topic})", code=PROBLEMS)
    if letter.record.cut:
        give_up(
            f"{letter.letter_id}: its record ({letter.record.bytes} bytes of value) was too long for a letter or could "
            "not be read, so that this is no whole record: it cannot be produced again, its producer must send it",
            code=PROBLEMS,
        )
    return reproduction(*place, _opened(settings, letter), letter.record.source)


def _opened(settings: Settings, letter: DeadLetterView) -> OpenedContent:
    if not settings.seal_keys:
        give_up("HELIOGRAPH_SEAL_KEYS: is required to open a letter", code=USAGE)
    try:
        return open_letter(Sealer(settings.seal_keys), letter.record)
    except UnsealError:
        give_up(f"{letter.letter_id}: is sealed by a key that is not in HELIOGRAPH_SEAL_KEYS", code=PROBLEMS)


async def _retry(
    settings: Settings,
    letters: Sequence[DeadLetterView],
    records: Sequence[DeadLetterReproduction],
    by: str,
    as_json: bool,
) -> None:
    """One after another: a record is acknowledged before its letter is marked, so a crash loses none."""
    async with DeadLetterProducer(settings) as producer:
        for letter, record in zip(letters, records, strict=True):
            try:
                await produce(producer, record)
            except MessageSizeTooLargeError:
                give_up(f"{letter.letter_id}: with {RETRY_OF} it is longer than {record.topic} takes", code=PROBLEMS)
            await mark(producer, settings, letter, handled(letter, "retried", by))
            told = {"letter": letter.letter_id, "topic": record.topic, "left_out": record.left_out}
            say_json(told) if as_json else say(f"{letter.letter_id} is on {record.topic} again")


def _content(opened: OpenedContent) -> dict[str, Any]:
    """Headers as pairs, for a name may stand there more than once; `whole`: of what was cut, how it was."""
    content: dict[str, Any] = {
        "key": _text(opened.key),
        "headers": [(escaped(name), _text(value)) for name, value in opened.headers],
        "value": _text(opened.value),
    }
    return content | ({"whole": msgspec.to_builtins(opened.cut)} if opened.cut else {})


def _text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(raw or b"").decode()
