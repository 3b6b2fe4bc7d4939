"""`heliograph send`: produce notify events, one or many, and wait for what became of them."""

import asyncio
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click
import orjson
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from app.cli.options.plural import plural
from app.cli.options.tenant import known
from app.cli.output import say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS, give_up
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.cli.send.answer_matching import AwaitedMessage, awaited
from app.cli.send.csv_rows import FileError
from app.cli.send.file import BadLinesError, FileLine, ParsedFile, asked, read_lines, single
from app.cli.send.line_checks import DROPPED, REPEATED, bad_numbers, repeats, without
from app.cli.send.media_warnings import Warned, by_words, in_json, media_warned, tell
from app.cli.send.wait import show, wait_for
from app.config.settings import Settings
from app.config.tenants import Tenant
from app.domain.content.surrogates import valid_text
from app.kafka.client import client_settings
from app.kafka.progress_monitor import WorkerMonitor
from app.kafka.topic_io import produce
from app.records.topics import Topics

DEFAULTS = ("tenant", "campaign", "sender", "category", "priority", "send_at", "expires_at")
ONE_MESSAGE = ("to", "body", "media", "media_fallback", "key")


@click.command("send")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--to", multiple=True, help="Recipient, +14155550123; may be repeated.")
@click.option("--body", default="", help="The text.")
@click.option("--media", multiple=True, help="https URL; may be repeated.")
@click.option("--media-fallback", help="https link that goes as text where media cannot be received.")
@click.option(
    "--category",
    type=click.Choice(["otp", "transactional", "alert", "marketing"]),
    help="What kind of text; decides how long it is good for.",
)
@click.option(
    "--priority", type=click.Choice(["urgent", "normal", "bulk"]), help="Who goes first when the lane is busy."
)
@click.option("--sender", help="Lane.")
@click.option("--tenant", help="Default: the one called default, or the only one.")
@click.option("--key", help="Idempotency key.")
@click.option("--send-at", help="RFC 3339 with offset.")
@click.option("--expires-at", help="RFC 3339 with offset.")
@click.option("--campaign")
@click.option("--wait", is_flag=True, help="Wait for outcomes and conflicts, show them by line.")
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait at most.")
@click.option("--once-per-person", "once", is_flag=True, help="Drop lines that repeat a text to one person.")
@click.option("--dry-run", is_flag=True, help="Check every line and number, send nothing; exit 1 for bad numbers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(
    file: str | None, wait: bool, timeout: float, once: bool, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Send one message or a file of messages. Takes --to and --body, or a CSV or JSON-lines FILE (- is stdin).

    CSV names its columns in the first line: to, body, media (URLs with blanks between), media_fallback, category,
    priority, sender, send_at, expires_at, campaign, idempotency_key, tenant, and metadata.NAME for each entry of
    metadata. Other columns are ignored, with a warning; so are empty rows, without. Beside FILE, --tenant, --campaign,
    --sender, --category, --priority, --send-at and --expires-at are for lines that do not say it themselves.

    The same file sent twice sends nothing the second time: lines without a key get one from their content. Sent with a
    warning are: media that Twilio may refuse by type or size, numbers that cannot be texted (their outcome is
    `rejected`), and a text that one person gets from several lines, unless --once-per-person drops the later ones.

    \b
    Examples:
      heliograph send --to +14155550123 --body 'Build 742 deployed.' --wait
      heliograph send people.csv --wait          # columns: to,body,category,...
      heliograph send people.csv --campaign spring --category marketing --dry-run
      generate | heliograph send - --json
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    given["tenant"] = _tenant(given["tenant"], tenants, settings, of_lines=file is not None)
    ready = _read(file, given, tenants, once)
    topics = [_topics(settings).requests_of(known(line.request.tenant, tenants, settings)) for line in ready.asked]
    if not as_json:
        tell(ready.warnings, named=file is not None)
        tell(ready.problems, named=file is not None, kind="error" if dry_run else "warning")
    if dry_run:
        _dry_run(ready, as_json)
    sent_ms = _produce(ready, topics, settings, as_json)
    if not wait:
        told = {"sent": len(ready.lines), **in_json(ready.warnings), **in_json(ready.problems, "problem")}
        say_json(told) if as_json else say(f"{len(ready.lines)} sent")
        sys.exit(OK)
    messages = awaited(ready.asked)
    with reaching_kafka(settings), _bar("outcomes", len(messages), quiet=as_json) as found:
        asyncio.run(_wait(settings, tenants, messages, timeout, found, sent_ms))
    show(messages, as_json=as_json)
    sys.exit(PROBLEMS if any(message.failed for message in messages) else OK)


class ReadyBatch(NamedTuple):
    """What is to be sent, and how each line will be understood; messages with `problems` will be `rejected`."""

    lines: list[FileLine]
    asked: list[ParsedFile]
    warnings: Warned
    problems: Warned


def _dry_run(ready: ReadyBatch, as_json: bool) -> NoReturn:
    """Say what was found. Exit 1 if a recipient cannot be texted."""
    bad = {line for lines in ready.problems.values() for line in lines}
    good = len(ready.lines) - len(bad)
    told = {"sent": 0, "well_formed": good, **in_json(ready.warnings), **in_json(ready.problems, "problem")}
    words = plural(good, "line is", "lines are")
    say_json(told) if as_json else say(f"{words} well formed; nothing was sent")
    sys.exit(PROBLEMS if bad else OK)


def _produce(ready: ReadyBatch, topics: list[str], settings: Settings, as_json: bool) -> int:
    """Each line to its tenant's topic. Returns the log time of the first request, ms."""
    records = [(topic, orjson.dumps(line.event)) for topic, line in zip(topics, ready.lines, strict=True)]
    with reaching_kafka(settings), _bar("sending", len(records), quiet=as_json) as acked:
        return asyncio.run(produce(records, client_settings(settings), acked))


async def _wait(
    settings: Settings,
    tenants: Collection[str],
    messages: list[AwaitedMessage],
    timeout_s: float,
    found: Callable[[], None],
    sent_ms: int,
) -> None:
    client, workers = client_settings(settings), WorkerMonitor.of(settings, tenants)
    await wait_for(_topics(settings), messages, timeout_s, client, found, workers, sent_ms)


def _topics(settings: Settings) -> Topics:
    return Topics(settings.topic_prefix, settings.group)


def _tenant(name: str | None, tenants: Collection[str], settings: Settings, *, of_lines: bool) -> str | None:
    """Of lines that do not say it. None: as written, for the key that a line gets does not change by saying default."""
    several = of_lines and len(tenants) > 1
    if name is None and (several or "default" in tenants):
        return None
    return known(name, tenants, settings)


@contextmanager
def _bar(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Progress on a terminal's stderr; call what it gives for each one done."""
    bar = Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True))
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def _read(file: str | None, given: dict[str, Any], tenants: Mapping[str, Tenant], once: bool) -> ReadyBatch:
    """The lines, checked; `once`: without repeats of a text to one person. Exit 2 for a file that is refused whole."""
    defaults = {name: valid_text(given[name]) for name in DEFAULTS if given[name]}
    warnings: list[tuple[int, str]] = []
    try:
        lines = _of_file(file, given, defaults, warnings) if file else [_single(given, defaults)]
        wanted = asked(lines, named=file is not None)
        repeated = repeats(wanted)
        if once and repeated:
            lines = list(without(repeated, lines))
            wanted = asked(lines)
    except BadLinesError as bad:
        tell(by_words(warnings), named=True)
        tell(by_words(bad_numbers(bad.good, tenants)), named=True, kind="error")
        give_up(*bad.faults)
    except FileError as bad:
        tell(by_words(warnings), named=True)
        give_up(str(bad))
    warnings += media_warned(wanted)
    warnings += [(repeat.line, DROPPED if once else REPEATED) for repeat in repeated]
    return ReadyBatch(lines, wanted, by_words(warnings), by_words(bad_numbers(wanted, tenants)))


def _of_file(
    file: str, given: dict[str, Any], defaults: dict[str, Any], warnings: list[tuple[int, str]]
) -> list[FileLine]:
    beside = [name for name in ONE_MESSAGE if given[name]]
    if beside:
        raise FileError(f"--{beside[0].replace('_', '-')}: is for one message and does not go with FILE")
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return read_lines(
        "standard input" if file == "-" else file, content, defaults, lambda line, what: warnings.append((line, what))
    )


def _single(given: dict[str, Any], defaults: dict[str, Any]) -> FileLine:
    """Arguments are bytes to the system: what is not UTF-8 of them is replaced by U+FFFD."""
    to, media = ([valid_text(text) for text in given[name]] for name in ("to", "media"))
    event = {"to": to, "body": valid_text(given["body"]), "media": media, **defaults}
    own = {"idempotency_key": given["key"], "media_fallback": given["media_fallback"]}
    return single(event | {name: valid_text(value) for name, value in own.items() if value})
