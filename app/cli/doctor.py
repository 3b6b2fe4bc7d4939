"""`heliograph doctor`: what would bite, found before it does."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import orjson

from app import kafka
from app.cli import OK, PROBLEMS, settings_or_exit
from app.domain.identity import key_fingerprint
from app.records import setup
from app.records.fingerprint import foreign_fingerprint
from app.records.topics import Topics
from app.settings import Settings

Finding = tuple[str, str]  # what was looked at, and what is wrong with it ("" if nothing)


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(as_json: bool) -> None:
    """Look at broker, topics, keys and disk; exit 1 if something is wrong.

    \b
    Example:
      heliograph doctor --json
    """
    settings, _ = settings_or_exit(dict(os.environ))
    findings = asyncio.run(_all(settings))
    if as_json:
        click.echo(
            orjson.dumps({"findings": [{"what": what, "problem": problem} for what, problem in findings]}).decode()
        )
    else:
        for what, problem in findings:
            click.echo(f"{'!' if problem else 'ok'}  {what}{': ' + problem if problem else ''}")
    sys.exit(PROBLEMS if any(problem for _, problem in findings) else OK)


async def _all(settings: Settings) -> list[Finding]:
    return [finding async for finding in _look(settings)]


async def _look(settings: Settings) -> AsyncIterator[Finding]:
    yield "keys", "; ".join(settings.keys_missing())
    for what, path in (("data directory", settings.data_dir), ("spool", settings.spool_dir)):
        free = shutil.disk_usage(_nearest(path)).free
        yield f"disk of the {what}", "" if free > 1 << 30 else f"only {free >> 20} MB free"
    yield "spool", _left(settings.spool_dir)
    client = kafka.client(settings)
    try:
        async for finding in _broker(settings, client):
            yield finding
    except (OSError, RuntimeError, kafka.errors()) as error:
        yield f"kafka at {settings.kafka}", f"not reachable ({type(error).__name__})"


def _nearest(path: Path) -> Path:
    """The directory, or the one above that is there."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _left(spool: Path) -> str:
    """Records that are not on the log."""
    aside = sorted(file.name for file in spool.glob("*.aside"))
    waiting = sum(file.stat().st_size for file in spool.glob("*.spool"))
    told = [f"{waiting} bytes wait: a running ingress sends them"] if waiting else []
    told += [f"set aside as unreadable: {', '.join(aside)}"] if aside else []
    return "; ".join(told)


async def _broker(settings: Settings, client: dict[str, Any]) -> AsyncIterator[Finding]:
    from aiokafka.admin import AIOKafkaAdminClient

    topics = Topics(settings.topic_prefix, settings.group)
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        todo = await setup.plan(admin, topics.all, settings.partitions, settings.replication)
    finally:
        await admin.close()
    yield f"kafka at {settings.kafka}", ""
    differing = ", ".join(f"{change.action} {change.topic}" for change in todo.changes)
    yield "topics", f"not as declared ({differing}): heliograph topics apply" if differing else ""
    if settings.pseudonym_key and not any(c.action == "create" and c.topic == topics.contacts for c in todo.changes):
        foreign = await foreign_fingerprint(topics.contacts, key_fingerprint(settings.pseudonym_key), **client)
        yield "pseudonym key", f"topic contacts was written under another key ({foreign})" if foreign else ""
