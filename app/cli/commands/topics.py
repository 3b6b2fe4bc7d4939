"""`heliograph topics plan|apply`: topics as declared, on the broker."""

import asyncio
import os
import sys
from collections.abc import Iterable
from shlex import quote
from typing import Any

import click

from app.cli.options.tenant import whose
from app.cli.output import say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS, give_up
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.config.settings import Settings
from app.kafka.client import client_settings


@click.group("topics")
def command() -> None:
    """Create and check the declared Kafka topics. schemas/topics.yaml declares them. Nothing is ever deleted."""


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
    """Create missing topics and alter others. Nothing is changed if any change is refused.

    Each tenant has a request topic, notify.requests.TENANT: run it after a tenant came into the tenants file, then
    restart workers and ingresses.

    \b
    Example:
      HELIOGRAPH_PARTITIONS=32 HELIOGRAPH_REPLICATION=3 heliograph topics apply
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    with reaching_kafka(settings):
        sys.exit(asyncio.run(_run(settings, tenants, as_json=as_json, carry_out=True)))


@command.command("rights")
@click.argument("process")
@click.option("--principal", help="Print arguments of Kafka's kafka-acls.sh that give it the rights, as User:ingress.")
@click.option("--tenant", help="Of `teams`: whose; needed when there are several and none is called default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per right.")
def rights(process: str, principal: str | None, tenant: str | None, as_json: bool) -> None:
    """Print the Kafka ACLs that a process needs.

    PROCESS is worker, ingress, bridge, read-model, topics (whoever runs `topics apply`), or one of operators (the other
    commands), teams and auditors. They follow from schemas/topics.yaml; no broker is asked. A team writes the request
    topic of its own tenant, and the one of all only where its tenant allows that (shared_requests).

    \b
    Examples:
      heliograph topics rights ingress
      heliograph topics rights teams --tenant acme
      heliograph topics rights ingress --principal User:ingress | xargs -L1 kafka-acls.sh --bootstrap-server HOST:PORT
    """
    from app.kafka.rights import TEAMS, processes, rights_of
    from app.records.topics import Topics

    settings, tenants = settings_or_exit(dict(os.environ))
    # Who may write the topic of another tenant may act as that tenant.
    names = [whose(tenant, tenants)] if process == TEAMS else list(tenants)
    topics = Topics(settings.topic_prefix, settings.group, names)
    if process not in (known := processes(topics)):
        give_up(f"PROCESS: must be one of {', '.join(known)}")
    shared = process != TEAMS or tenants[names[0]].shared_requests
    for right in rights_of(topics, process, shared_requests=shared):
        if as_json:
            say_json({"resource": right.kind, "name": right.name, "operation": right.operation.name})
        elif principal:
            operation = right.operation.name.title().replace("_", "")
            # xargs and shells split at blanks; distinguished names (User:CN=a b) have some.
            quoted = f"{quote(principal)} --operation {operation} --{right.kind} {quote(right.name)}"
            say(f"--add --allow-principal {quoted}")
        else:
            say(right.words)


async def _run(settings: Settings, tenants: Iterable[str], *, as_json: bool, carry_out: bool) -> int:
    from aiokafka.admin import AIOKafkaAdminClient

    from app.kafka import topic_plan
    from app.kafka.cluster_check import require_rights
    from app.kafka.rights import TOPICS_JOB
    from app.records.topics import Topics

    names = Topics(settings.topic_prefix, settings.group, tenants)
    topics = names.all
    await require_rights(client_settings(settings), names, TOPICS_JOB)
    admin = AIOKafkaAdminClient(**client_settings(settings))
    try:
        await admin.start()
        todo = await topic_plan.plan(admin, topics, settings.partitions, settings.replication)
        _show(todo, as_json)
        if todo.refused:
            return PROBLEMS
        if carry_out:
            await topic_plan.apply(admin, todo, settings.partitions, settings.replication)
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
