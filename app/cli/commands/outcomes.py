"""`heliograph outcomes`: the last words, as they are or as they come."""

import asyncio
import os
import signal
from typing import Any

import click

from app.cli.options.timestamps import moment
from app.cli.output import raw, say, say_json
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.cli.queries.outcome_reason import why
from app.kafka.client import client_settings
from app.kafka.topic_io import follow
from app.records.topics import Topics


@click.command("outcomes")
@click.option("--follow", "forever", is_flag=True, help="Go on as they come; Ctrl-C ends.")
@click.option("--tenant", help="Only this tenant's.")
@click.option("--message", "message_id", help="Only this message's.")
@click.option("--since", callback=moment, help="Only from then on: RFC 3339 with offset, or 30s, 15m, 2h, 7d ago.")
@click.option("--new", is_flag=True, help="Only what comes from now on (with --follow).")
@raw
@click.option("--json", "as_json", is_flag=True, help="Whole records, one per line.")
def command(
    forever: bool, tenant: str | None, message_id: str | None, since: int | None, new: bool, as_json: bool
) -> None:
    """Read notify.outcomes. Recipients are masked.

    \b
    Examples:
      heliograph outcomes --since 15m --follow
      heliograph outcomes --since 2026-03-03T10:00:00Z --tenant acme
      heliograph outcomes --message 7a031076e4d2147aa60c-979f8995cb98fd500dc0 --json
    """
    settings, _ = settings_or_exit(dict(os.environ))
    topic = Topics(settings.topic_prefix, settings.group).outcomes

    async def run() -> None:
        # Not raised wherever the loop happens to be, as SIGINT is not either: the consumer must be stopped.
        if (reader := asyncio.current_task()) is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, reader.cancel)
        read = follow(topic, client_settings(settings), from_start=not new, forever=forever, since_ms=since)
        async for _, value in read:
            if tenant in (None, value["tenant"]) and message_id in (None, value["message_id"]):
                say_json(value) if as_json else say(_line(value))

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with reaching_kafka(settings):
            asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return


def _line(value: dict[str, Any]) -> str:
    to, word = value["recipient"]["masked"], value["outcome"]
    return f"{value['at']}  {to}  {word}: {why(value)}  revision {value['revision']}  {value['message_id']}"
