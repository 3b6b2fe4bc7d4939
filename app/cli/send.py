"""`heliograph send`: produce notify events, one or many, and wait for what became of them."""

import asyncio
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from app import kafka
from app.cli import OK, PROBLEMS, give_up, reaching_kafka, settings_or_exit
from app.cli.counted import plural
from app.cli.sendfile import Asked, BadFile, Line, asked, read_lines, single
from app.cli.sendmatch import Awaited, awaited
from app.cli.sendmedia import in_json, tell, warned
from app.cli.sendwait import show, wait_for
from app.cli.topicio import produce
from app.cli.whose import known
from app.records.monitor import WorkerMonitor
from app.records.topics import Topics
from app.settings import Settings

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
@click.option("--dry-run", is_flag=True, help="Check everything, send nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(file: str | None, wait: bool, timeout: float, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Send one message (--to, --body), or a CSV or JSON-lines FILE (- is stdin).

    CSV names its columns in the first line: to, body, media (URLs with blanks between), media_fallback, category,
    priority, sender, send_at, expires_at, campaign, idempotency_key, tenant. Beside FILE, --tenant, --campaign,
    --sender, --category, --priority, --send-at and --expires-at are for lines that do not say it themselves.

    The same file sent twice sends nothing the second time: lines without a key get one from their content. Media that
    Twilio may refuse, by a type or size that their URL tells or leaves open, are sent, with a warning.

    \b
    Examples:
      heliograph send --to +14155550123 --body 'Build 742 deployed.' --wait
      heliograph send people.csv --wait          # columns: to,body,category,...
      heliograph send people.csv --campaign spring --category marketing --dry-run
      generate | heliograph send - --json
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    given["tenant"] = _tenant(given["tenant"], tenants, settings, of_lines=file is not None)
    lines, wanted = _read(file, given)
    warnings = warned(wanted)
    if not as_json:
        tell(warnings, named=file is not None)
    if dry_run:
        told = {"sent": 0, "well_formed": len(lines), **in_json(warnings)}
        good = plural(len(lines), "line is", "lines are")
        click.echo(orjson.dumps(told) if as_json else f"{good} well formed; nothing was sent")
        sys.exit(OK)
    topics, client = Topics(settings.topic_prefix, settings.group), kafka.client(settings)
    values = [orjson.dumps(line.event) for line in lines]
    with reaching_kafka(settings), _bar("sending", len(values), quiet=as_json) as acked:
        sent_ms = asyncio.run(produce(topics.requests, values, client, acked))
    if not wait:
        click.echo(orjson.dumps({"sent": len(lines), **in_json(warnings)}) if as_json else f"{len(lines)} sent")
        sys.exit(OK)
    messages = awaited(wanted)
    with reaching_kafka(settings), _bar("outcomes", len(messages), quiet=as_json) as found:
        asyncio.run(_wait(settings, topics, messages, timeout, found, sent_ms))
    show(messages, as_json=as_json)
    sys.exit(PROBLEMS if any(message.failed for message in messages) else OK)


async def _wait(
    settings: Settings,
    topics: Topics,
    messages: list[Awaited],
    timeout_s: float,
    found: Callable[[], None],
    sent_ms: int,
) -> None:
    await wait_for(topics, messages, timeout_s, kafka.client(settings), found, WorkerMonitor.of(settings), sent_ms)


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


def _read(file: str | None, given: dict[str, Any]) -> tuple[list[Line], list[Asked]]:
    """The lines, and how each will be understood."""
    defaults = {name: given[name] for name in DEFAULTS if given[name]}
    try:
        lines = _of_file(file, given, defaults) if file else [_single(given, defaults)]
        return lines, asked(lines, named=file is not None)
    except BadFile as bad:
        give_up(str(bad))


def _of_file(file: str, given: dict[str, Any], defaults: dict[str, Any]) -> list[Line]:
    beside = [name for name in ONE_MESSAGE if given[name]]
    if beside:
        raise BadFile(f"--{beside[0].replace('_', '-')}: is for one message and does not go with FILE")
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return read_lines("standard input" if file == "-" else file, content, defaults)


def _single(given: dict[str, Any], defaults: dict[str, Any]) -> Line:
    event = {"to": list(given["to"]), "body": given["body"], "media": list(given["media"]), **defaults}
    own = {"idempotency_key": given["key"], "media_fallback": given["media_fallback"]}
    return single(event | {name: value for name, value in own.items() if value})
