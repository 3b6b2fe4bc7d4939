"""`heliograph send`: produce notify events, one or many, and wait for what became of them."""

import asyncio
import csv
import hashlib
import io
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from app import kafka
from app.cli import OK, PROBLEMS, USAGE, reaching_kafka, settings_or_exit
from app.cli.topicio import follow, produce
from app.records.codec import Unreadable
from app.records.requests import read_request
from app.records.topics import Topics

FIELDS = (
    "to",
    "body",
    "category",
    "priority",
    "sender",
    "send_at",
    "expires_at",
    "campaign",
    "idempotency_key",
    "tenant",
)


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

    The same file sent twice sends nothing the second time: lines without a key get one from their content.

    \b
    Examples:
      heliograph send --to +14155550123 --body 'Build 742 deployed.' --wait
      heliograph send people.csv --wait          # columns: to,body,category,...
      generate | heliograph send - --json
    """
    settings, _ = settings_or_exit(dict(os.environ))
    events = _lines(file) if file else [_single(given)]
    _check(events)
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


def _single(given: dict[str, Any]) -> dict[str, Any]:
    event = {
        "type": "notify.requested.v1",
        "to": list(given["to"]),
        "body": given["body"],
        "media": list(given["media"]),
    }
    names = {"key": "idempotency_key", "send_at": "send_at", "expires_at": "expires_at"}
    plain = ("category", "priority", "sender", "tenant", "campaign")
    event |= {name: given[name] for name in plain if given[name]}
    event |= {field: given[name] for name, field in names.items() if given[name]}
    return _keyed([event], single=True)[0]


def _lines(file: str) -> list[dict[str, Any]]:
    try:
        text = (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError:
        _refuse(f"{file}: is not text in UTF-8")
    if text.lstrip().startswith("{"):
        rows = [_parsed(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    else:
        rows = [_row(row) for row in csv.DictReader(io.StringIO(text))]
    return _keyed([{"type": "notify.requested.v1", **row} for row in rows])


def _parsed(number: int, line: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        _refuse(f"line {number}: is not JSON")
    if not isinstance(row, dict):
        _refuse(f"line {number}: must be an object")
    return row


def _row(row: dict[str, str]) -> dict[str, Any]:
    unknown = [name for name in row if name not in FIELDS]
    if unknown:
        _refuse(f"column {unknown[0]}: is not known; columns are {', '.join(FIELDS)}")
    return {name: value for name, value in row.items() if value}


def _keyed(events: list[dict[str, Any]], *, single: bool = False) -> list[dict[str, Any]]:
    """A key for each line without one: its content and its ordinal among equal lines."""
    seen: Counter[bytes] = Counter()
    for event in events:
        if event.get("idempotency_key"):
            continue
        content = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
        seen[content] += 1
        salt = os.urandom(8) if single else b"%d" % seen[content]
        event["idempotency_key"] = "send-" + hashlib.sha256(content + salt).hexdigest()[:24]
    return events


def _check(events: list[dict[str, Any]]) -> None:
    for number, event in enumerate(events, 1):
        try:
            read_request(orjson.dumps(event))
        except Unreadable as bad:
            _refuse(f"line {number}: {bad.field}: {bad.rule}")


def _refuse(text: str) -> Any:
    click.echo(f"error: {text}", err=True)
    sys.exit(USAGE)


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
