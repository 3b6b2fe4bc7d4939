"""`heliograph send`: produce notify events, one or many, and wait for what became of them."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from app import kafka
from app.cli import OK, PROBLEMS, give_up, reaching_kafka, settings_or_exit
from app.cli.sendfile import BadFile, Line, asked, read_lines, single
from app.cli.topicio import follow, produce
from app.records.topics import Topics

DEFAULTS = ("tenant", "campaign", "sender", "category", "priority", "send_at", "expires_at")
ONE_MESSAGE = ("to", "body", "media", "key")


@click.command("send")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--to", multiple=True, help="Recipient, +14155550123; may be repeated.")
@click.option("--body", default="", help="The text.")
@click.option("--media", multiple=True, help="https URL; may be repeated.")
@click.option(
    "--category",
    type=click.Choice(["otp", "transactional", "alert", "marketing"]),
    help="What kind of text; decides how long it is good for.",
)
@click.option(
    "--priority", type=click.Choice(["urgent", "normal", "bulk"]), help="Who goes first when the lane is busy."
)
@click.option("--sender", help="Lane.")
@click.option("--tenant", help="Default: default.")
@click.option("--key", help="Idempotency key.")
@click.option("--send-at", help="RFC 3339 with offset.")
@click.option("--expires-at", help="RFC 3339 with offset.")
@click.option("--campaign")
@click.option("--wait", is_flag=True, help="Wait for the outcomes and show them by line.")
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait at most.")
@click.option("--dry-run", is_flag=True, help="Check everything, send nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(file: str | None, wait: bool, timeout: float, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Send one message (--to, --body), or a CSV or JSON-lines FILE (- is stdin).

    CSV names its columns in the first line: to, body, media (URLs with blanks between), category, priority, sender,
    send_at, expires_at, campaign, idempotency_key, tenant. Beside FILE, --tenant, --campaign, --sender, --category,
    --priority, --send-at and --expires-at are for lines that do not say it themselves.

    The same file sent twice sends nothing the second time: lines without a key get one from their content.

    \b
    Examples:
      heliograph send --to +14155550123 --body 'Build 742 deployed.' --wait
      heliograph send people.csv --wait          # columns: to,body,category,...
      heliograph send people.csv --campaign spring --category marketing --dry-run
      generate | heliograph send - --json
    """
    settings, _ = settings_or_exit(dict(os.environ))
    events = [line.event for line in _events(file, given)]
    if dry_run:
        text = f"{len(events)} lines are well formed; nothing was sent"
        click.echo(orjson.dumps({"sent": 0, "well_formed": len(events)}).decode() if as_json else text)
        sys.exit(OK)
    topics = Topics(settings.topic_prefix, settings.group)
    shown = events if as_json or not sys.stderr.isatty() else track(events, "sending", console=Console(stderr=True))
    with reaching_kafka(settings):
        asyncio.run(produce(topics.requests, [orjson.dumps(event) for event in shown], kafka.client(settings)))
    if not wait:
        click.echo(orjson.dumps({"sent": len(events)}).decode() if as_json else f"{len(events)} sent")
        sys.exit(OK)
    wanted = {(event["idempotency_key"], event.get("tenant", "default")) for event in events}
    with reaching_kafka(settings):
        found = asyncio.run(_outcomes(topics.outcomes, wanted, _count(events), timeout, kafka.client(settings)))
    _show(events, found, as_json)
    sys.exit(OK if len(found) >= len(wanted) else PROBLEMS)


def _events(file: str | None, given: dict[str, Any]) -> list[Line]:
    defaults = {name: given[name] for name in DEFAULTS if given[name]}
    try:
        lines = _of_file(file, given, defaults) if file else [_single(given, defaults)]
        asked(lines, named=file is not None)
    except BadFile as bad:
        give_up(str(bad))
    return lines


def _of_file(file: str, given: dict[str, Any], defaults: dict[str, Any]) -> list[Line]:
    beside = [name for name in ONE_MESSAGE if given[name]]
    if beside:
        raise BadFile(f"--{beside[0]}: is for one message and does not go with FILE")
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return read_lines("standard input" if file == "-" else file, content, defaults)


def _single(given: dict[str, Any], defaults: dict[str, Any]) -> Line:
    event = {"to": list(given["to"]), "body": given["body"], "media": list(given["media"]), **defaults}
    return single(event | ({"idempotency_key": given["key"]} if given["key"] else {}))


def _count(events: list[dict[str, Any]]) -> int:
    return sum(len(event["to"]) if isinstance(event["to"], list) else 1 for event in events)


Found = dict[str, dict[str, Any]]


async def _outcomes(
    topic: str, wanted: set[tuple[str, str]], count: int, timeout: float, client: dict[str, Any]
) -> Found:
    found: Found = {}
    try:
        async with asyncio.timeout(timeout):
            async for _, value in follow(topic, client, from_start=True, forever=True):
                if (value["idempotency_key"], value["tenant"]) in wanted:
                    found[value["message_id"]] = value
                    if len(found) >= count:
                        break
    except TimeoutError:
        click.echo(f"{count - len(found)} outcomes are not there after {timeout:g} s", err=True)
    return found


def _show(events: list[dict[str, Any]], found: Found, as_json: bool) -> None:
    lines = {event["idempotency_key"]: number for number, event in enumerate(events, 1)}
    rows = sorted(found.values(), key=lambda value: lines[value["idempotency_key"]])
    if as_json:
        for value in rows:
            click.echo(orjson.dumps(value).decode())
        return
    table = Table("line", "recipient", "outcome", "reason", "message id")
    for value in rows:
        number = str(lines[value["idempotency_key"]])
        table.add_row(number, value["recipient"]["masked"], value["outcome"], value["reason"], value["message_id"])
    Console().print(table)
