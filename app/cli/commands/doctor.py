"""`heliograph doctor`: what would bite, found before it does."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.output import say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS
from app.cli.process.start import settings_or_exit
from app.cli.queries.findings import place, readable_secrets
from app.cli.queries.read_model_check import read_model_finding
from app.cli.queries.request_topics import taken_for
from app.cli.queries.stopped_lanes import stopped_lanes, why
from app.cli.queries.worker_check import letter_findings, say_watching, silent, worker_findings
from app.cli.twilio.client import lacks
from app.config.settings import Settings
from app.config.tenants import Tenant
from app.kafka import topic_plan
from app.kafka.client import client_settings, kafka_error
from app.kafka.cluster_check import contact_log_problem
from app.records.lanes import StoppedLane
from app.records.topics import Topics

if TYPE_CHECKING:
    from app.provider.account.findings import Finding as Listed

# What was looked at, and what is wrong with it ("" if nothing); of the closed list its name and what to do, too. What
# stops no text is a "warning" beside an empty problem.
Seen = dict[str, str]


@click.command("doctor")
@click.option("--live", is_flag=True, help="Ask Twilio itself, too, by calls that only read (as twilio check).")
@click.option("--public", is_flag=True, help="Send a signed probe through the public URLs and find it on the log.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(live: bool, public: bool, as_json: bool) -> None:
    """Check that everything works. Exit 1 if something does not.

    Looks at broker, topics, keys, disk, stopped lanes, workers, dead letters of faults, secret files and accounts;
    at the read model, too: what is wrong with it is a warning, for no text waits for it, and the exit code stays 0.
    Where records wait it watches until workers fold them, for HELIOGRAPH_STALL_TIMEOUT_S at most.

    The Twilio accounts of tenants are looked at where another server than Twilio's is named (TWILIO_API_BASE_URL), and
    with --live everywhere. With --public a webhook is signed and sent to each configured URL, as Twilio would; it must
    be found on the log, as a dead letter, which is then marked as dropped by `doctor`.

    \b
    Examples:
      heliograph doctor --json
      heliograph doctor --live --public
    """
    settings, tenants = settings_or_exit(dict(os.environ), keys=public)
    findings = asyncio.run(_all(settings, tenants, live, public, silent if as_json else say_watching))
    if as_json:
        say_json({"findings": findings})
    else:
        for seen in findings:
            problem = f": {seen['problem']}" if seen["problem"] else ""
            say(f"{'!' if problem else 'ok'}  {seen['what']}{problem}")
            if problem and "todo" in seen:
                say(f"      {seen['name']}: {seen['todo']}")
            if "warning" in seen:
                say(f"      warning: {seen['warning']}")
    sys.exit(PROBLEMS if any(seen["problem"] for seen in findings) else OK)


async def _all(
    settings: Settings, tenants: dict[str, Tenant], live: bool, public: bool, waiting: Callable[[float], None]
) -> list[Seen]:
    found = [{"what": what, "problem": problem} async for what, problem in _look(settings, tenants, waiting)]
    found.append(await read_model_finding(settings))
    found += _told("secret files", readable_secrets(os.environ, settings, tenants))
    for name, tenant in tenants.items():
        if not lacks(tenant):
            found += await _account(name, tenant, live)
    return found + (await _public(settings, tenants) if public else [])


async def _account(name: str, tenant: Tenant, live: bool) -> list[Seen]:
    """Without leave, Twilio itself is not asked."""
    from app.provider.account.account_checks import check, look_at_urls

    if live or not tenant.at_twilio:
        return _told(f"tenant {name}: account at Twilio", await check(tenant))
    return _told(f"tenant {name}: URLs (Twilio is asked with --live)", look_at_urls(tenant))


async def _public(settings: Settings, tenants: dict[str, Tenant]) -> list[Seen]:
    from app.cli.queries.webhook_probe import probe, probes

    ready = [tenant for tenant in tenants.values() if not lacks(tenant) and probes(tenant)]
    if not ready:
        return [{"what": "public URLs", "problem": "no tenant has account_sid, auth_tokens and a URL to probe"}]
    try:
        return _told("public URLs", await probe(settings, ready))
    except (OSError, RuntimeError, kafka_error()) as error:
        return [{"what": "public URLs", "problem": f"kafka is not reachable ({type(error).__name__})"}]


def _told(what: str, findings: "Iterable[Listed]") -> list[Seen]:
    """Each finding; that there is none, if there is none."""
    told = [{"what": place(one), "problem": one.problem, "name": one.name.value, "todo": one.todo} for one in findings]
    return told or [{"what": what, "problem": ""}]


async def _look(
    settings: Settings, tenants: Mapping[str, Tenant], waiting: Callable[[float], None]
) -> AsyncIterator[tuple[str, str]]:
    yield "keys", "; ".join(settings.keys_missing())
    for what, path in (("data directory", settings.data_dir), ("spool", settings.spool_dir)):
        free = shutil.disk_usage(_nearest(path)).free
        yield f"disk of the {what}", "" if free > 1 << 30 else f"only {free >> 20} MB free"
    yield "spool", _left(settings.spool_dir)
    client = client_settings(settings)
    try:
        async for finding in _broker(settings, tenants, client, waiting):
            yield finding
    except (OSError, RuntimeError, kafka_error()) as error:
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


def _lane(row: StoppedLane) -> str:
    return f"tenant {row.tenant}: lane {row.lane}"


async def _broker(
    settings: Settings, tenants: Mapping[str, Tenant], client: dict[str, Any], waiting: Callable[[float], None]
) -> AsyncIterator[tuple[str, str]]:
    from aiokafka.admin import AIOKafkaAdminClient

    topics = Topics(settings.topic_prefix, settings.group, tenants)
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        todo = await topic_plan.plan(admin, topics.all, settings.partitions, settings.replication)
    finally:
        await admin.close()
    yield f"kafka at {settings.kafka}", ""
    differing = ", ".join(f"{change.action} {change.topic}" for change in todo.changes)
    yield f"shared request topic, for {taken_for(tenants)}", ""
    yield "topics", f"not as declared ({differing}): heliograph topics apply" if differing else ""
    if not any(change.action == "create" for change in todo.changes):
        for what, problem in [(_lane(row), why(row)) for row in await stopped_lanes(topics, client)] or [("lanes", "")]:
            yield what, problem
        async for what, problem in letter_findings(topics, client):
            yield what, problem
        async for what, problem in worker_findings(settings, tenants, waiting):
            yield what, problem
    if settings.pseudonym_key and not any(c.action == "create" and c.topic == topics.contacts for c in todo.changes):
        yield "contact log", await contact_log_problem(client, topics.contacts, settings.pseudonym_key)
