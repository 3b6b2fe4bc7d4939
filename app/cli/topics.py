"""`heliograph topics plan|apply`: topics as declared, on the broker."""

import asyncio
import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from app import kafka
from app.cli import OK, PROBLEMS, reaching_kafka, settings_or_exit
from app.cli.shown import say, say_json
from app.settings import Settings


@click.group("topics")
def command() -> None:
    """Create and check topics as schemas/topics.yaml declares them. Nothing is ever deleted."""


@command.command("plan")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(as_json: bool) -> None:
    """Show what `apply` would do. Exit 1 if something is refused.

    \b
    Example:
      heliograph topics plan --json
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    with reaching_kafka(settings):
        sys.exit(asyncio.run(_run(settings, tenants, as_json=as_json, carry_out=False)))


@command.command("apply")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def apply(as_json: bool) -> None:
    """Create what is missing, alter what differs; stop before anything if a change is refused.

    Each tenant has a request topic, notify.requests.TENANT: run it after a tenant came into the tenants file, then
    restart workers and ingresses.

    \b
    Example:
      HELIOGRAPH_PARTITIONS=32 HELIOGRAPH_REPLICATION=3 heliograph topics apply
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    with reaching_kafka(settings):
        sys.exit(asyncio.run(_run(settings, tenants, as_json=as_json, carry_out=True)))


async def _run(settings: Settings, tenants: Iterable[str], *, as_json: bool, carry_out: bool) -> int:
    from aiokafka.admin import AIOKafkaAdminClient

    from app.records import setup
    from app.records.topics import Topics

    topics = Topics(settings.topic_prefix, settings.group, tenants).all
    admin = AIOKafkaAdminClient(**kafka.client(settings))
    try:
        await admin.start()
        todo = await setup.plan(admin, topics, settings.partitions, settings.replication)
        _show(todo, as_json)
        if todo.refused:
            return PROBLEMS
        if carry_out:
            await setup.apply(admin, todo, settings.partitions, settings.replication)
        return OK
    finally:
        await admin.close()


def _show(todo: Any, as_json: bool) -> None:
    if as_json:
        changes = [{"topic": c.topic, "action": c.action, "detail": c.detail} for c in todo.changes]
        say_json({"changes": changes, "refused": len(todo.refused)})
        return
    signs = {"create": "+", "alter": "~", "refuse": "!"}
    for change in todo.changes:
        say(f"{signs[change.action]} {change.topic}: {change.detail}")
    if not todo.changes:
        say("topics are as declared")
