"""`heliograph config show|check`."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import click
import msgspec

from app.api_key_store import ApiKeyStore
from app.cli import OK, PROBLEMS, USAGE, looked_at, settings_or_exit
from app.cli.requesttopics import request_topics
from app.cli.shown import say, say_json, say_lines
from app.parameters import MISLEADING, WORTH_KNOWING, Parameters, failures_told
from app.settings import FIELDS
from app.tenants import Tenant
from app.values import Secret


@click.group("config")
def command() -> None:
    """Show and check settings and tenants."""


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(as_json: bool) -> None:
    """Settings in force; secrets hidden, whom a sandbox may text masked.

    \b
    Example:
      heliograph config show --json
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    shown = {field.env: _hidden(field.secret, getattr(settings, field.name)) for field in FIELDS}
    modes = {name: {"mode": tenant.mode, "allow": list(tenant.allowed)} for name, tenant in tenants.items()}
    if as_json:
        say_json({"settings": shown, "tenants": list(tenants), "modes": modes})
        return
    for name, value in shown.items():
        say(f"{name}={value}")
    say(f"tenants: {', '.join(tenants)}")
    for line in sandboxes(tenants):
        say(line)


@command.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(as_json: bool) -> None:
    """Exit 2 on what would stop a worker from starting or sending, 1 on what may be meant so.

    Notes tell what is unusual and holds: tenants that are sandboxes, from which topics requests are taken, after
    how many messages that fail a number is invalid (invalid_after, 5 for 30003 and 3 for 30005 if it is not set),
    and what parameters of the create call cost ([tenants.NAME.create]: content_retention, address_retention,
    smart_encoded, shorten_urls, risk_check, message_intent), and which webhooks are not tried again
    (webhook_overrides). Of three that promise more than they do it warns: max_price, provide_feedback,
    application_sid.

    \b
    Examples:
      heliograph config check && heliograph worker
      heliograph config check --json | jq -r '.faults[], .problems[], .warnings[], .notes[]'
    """
    settings, tenants, faults, missing = looked_at(dict(os.environ))
    # Which tenants there are is not known before they can be read.
    store = ApiKeyStore(settings.api_key_store)
    faults = faults or store.load(tenants)
    found = {
        "faults": faults,
        "problems": missing + incomplete(tenants, faults),
        "warnings": [*shared(tenants), *told(tenants, MISLEADING), *store.warnings()],
        "notes": [
            *sandboxes(tenants),
            *request_topics(tenants),
            *told(tenants, WORTH_KNOWING),
            *lookups(tenants),
            *failures(tenants),
            *unretried(tenants),
        ],
    }
    if as_json:
        say_json(found)
    else:
        _tell(found)
    sys.exit(USAGE if found["faults"] or found["problems"] else PROBLEMS if found["warnings"] else OK)


def _tell(found: dict[str, list[str]]) -> None:
    for fault in found["faults"]:
        say(f"error: {fault}", err=True)
    for problem in found["problems"]:
        say(problem)
    for warning in found["warnings"]:
        say(f"warning: {warning}")
    for note in found["notes"]:
        say(f"note: {note}")
    if not (found["faults"] or found["problems"] or found["warnings"]):
        say("settings are complete")


def incomplete(tenants: Mapping[str, Tenant], faults: Sequence[str]) -> list[str]:
    """What would stop a tenant's texts or its webhooks, one line each; of a field that is among the faults, or that
    comes from a file that is, nothing more is said."""
    return [
        f"tenant {name}: {field}: {rule}"
        for name, tenant in tenants.items()
        for field, rule in _lacks(tenant)
        if not any(told in fault for fault in faults for told in _told_as(name, field))
    ]


def _told_as(name: str, field: str) -> Iterator[str]:
    """How a fault names a tenant's field or a part of it; the tenant from TWILIO_* has the names of settings."""
    yield from (f"tenants.{name}.{field}{end}" for end in (":", ".", "[", "_file:"))
    yield from (f"{setting.env}_FILE:" for setting in FIELDS if setting.name == field and name == "default")


def _lacks(tenant: Tenant) -> Iterator[tuple[str, str]]:
    yield from silent(tenant)
    if tenant.api_key_sid and not tenant.auth_tokens and not tenant.shared_keys:
        yield "auth_tokens", "is required"  # webhooks are not signed with an API key
    for field in ("status_callback_url", "inbound_url"):
        if not _public(getattr(tenant, field)):
            yield field, "must be an https URL"
    yield from unmade(tenant)


def silent(tenant: Tenant) -> Iterator[tuple[str, str]]:
    """Fields and rules for want of which none of its texts can leave."""
    if not tenant.account_sid:
        yield "account_sid", "must be AC..."
    if not tenant.auth_tokens and not tenant.api_key_sid:
        yield "auth_tokens", "is required"
    if tenant.api_key_sid and not tenant.api_key_secret:
        yield "api_key_secret", "is required with api_key_sid"
    if not all(lane.messaging_service_sid or lane.from_number or lane.service for lane in tenant.lanes.values()):
        yield "lanes", "each needs a messaging service or a number"


def unmade(tenant: Tenant) -> list[tuple[str, str]]:
    """Lanes of services of the file that have no SID yet: nothing can be sent through them."""
    rule = "that service has no sid: heliograph twilio apply makes it and prints the sid"
    lanes = [(name, lane) for name, lane in tenant.lanes.items() if lane.service in tenant.services]
    return [(f"lanes.{name}.service", rule) for name, lane in lanes if not lane.messaging_service_sid]


def shared(tenants: Mapping[str, Tenant]) -> list[str]:
    """Tenants whose webhooks only a proxy can tell apart: neither account, sender nor path names the tenant."""
    counts = Counter((tenant.account_sid, sender) for tenant in tenants.values() for sender in senders(tenant))
    return [
        f"tenant {name}: {field}: has no /twilio/{name}/, and other tenants have the same account_sid and sender"
        for name, tenant in tenants.items()
        for field in ("status_callback_url", "inbound_url")
        if tenant.account_sid and any(counts[tenant.account_sid, sender] > 1 for sender in senders(tenant))
        if (url := getattr(tenant, field)) and f"/twilio/{name}/" not in url
    ]


def sandboxes(tenants: Mapping[str, Tenant]) -> list[str]:
    """Whom each sandbox may text, masked."""
    return [
        f"tenant {name}: is a sandbox and texts {', '.join(tenant.allowed) or 'nobody: allow is empty'}"
        for name, tenant in tenants.items()
        if tenant.mode == "sandbox"
    ]


def lookups(tenants: Mapping[str, Tenant]) -> list[str]:
    """What costs money beside texts."""
    return [
        f"tenant {name}: lookup.{category}: Lookup v2 is billed by request; a number is asked for at most every 90 days"
        for name, tenant in tenants.items()
        for category in tenant.lookup
    ]


def failures(tenants: Mapping[str, Tenant]) -> list[str]:
    """After how many messages that fail a number is invalid, where a tenant says so."""
    return [
        f"tenant {name}: invalid_after.{code}: {text}"
        for name, tenant in tenants.items()
        for code, text in failures_told(tenant.invalid_after)
    ]


def unretried(tenants: Mapping[str, Tenant]) -> list[str]:
    """Webhooks that Twilio is told without retries, by what stands behind their # or else by the tenant's overrides."""
    rule = "has no rc=1 to rc=5: a webhook that does not arrive is tried again once at most, if no connection was made"
    behind = {
        f"tenant {name}: {field if own else 'webhook_overrides'}: {rule}": own or tenant.webhook_overrides
        for name, tenant in tenants.items()
        for field in ("status_callback_url", "inbound_url")
        for own in (getattr(tenant, field).partition("#")[2],)
    }
    return [note for note, overrides in behind.items() if not re.search("(^|&)rc=[1-5]", overrides)]


def told(tenants: Mapping[str, Tenant], about: Mapping[str, str]) -> list[str]:
    """What is to be told of the parameters that are set to anything unusual, by field."""
    return [
        f"tenant {name}: {where}create.{field}: {about[field]}"
        for name, tenant in tenants.items()
        for where, given in _parameters(tenant)
        for field in given.telling
        if field in about
    ]


def _parameters(tenant: Tenant) -> Iterator[tuple[str, Parameters]]:
    yield "", tenant.create
    for name, lane in tenant.lanes.items():
        yield f"lanes.{name}.", lane.create


def senders(tenant: Tenant) -> set[str]:
    """SIDs and numbers of its lanes."""
    return {lane.messaging_service_sid or lane.from_number for lane in tenant.lanes.values()}


def _public(url: str) -> bool:
    """Twilio reaches https only; plain http is for a simulator on this machine. What is no URL is a fault already."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return bool(url) and (parts.scheme != "http" or _loopback(parts))


def _loopback(parts: SplitResult) -> bool:
    return parts.hostname in ("127.0.0.1", "::1", "localhost")


def _hidden(secret: bool, value: Any) -> Any:
    if secret or isinstance(value, Secret):
        return "***" if value else ""
    return str(value) if isinstance(value, Path) else msgspec.to_builtins(value)


EXAMPLE_HEAD = """\
# Every setting of heliograph, with its default. Copy to .env, which git ignores, and fill in what you need.
# The form is that of docker compose, of systemd's EnvironmentFile, and of a shell: set -a; . ./.env; set +a
# Each secret may stand in a file of its own instead: NAME_FILE=/run/secrets/name. A key: openssl rand -hex 32
"""
EXAMPLE_PARTS = {
    "KAFKA_": "Kafka",
    "HELIOGRAPH_": "heliograph itself; the two keys are required by ingress and worker",
    "PORT": "The public door",
    "TWILIO_": "Twilio, for the one tenant `default`; several tenants stand in the file that HELIOGRAPH_CONFIG names",
}


def settings_example() -> str:
    """`.env.example`, from the fields."""
    lines, part = [EXAMPLE_HEAD.rstrip()], ""
    for field in FIELDS:
        prefix = next(prefix for prefix in EXAMPLE_PARTS if field.env.startswith(prefix))
        if prefix != part:
            part = prefix
            lines += ["", f"# -- {EXAMPLE_PARTS[part]}"]
        lines += ["", f"# {field.meaning}", f"{'' if field.secret else '# '}{field.env}={field.shown}"]
        lines += [f"# {field.env}_FILE="] if field.secret else []
    return "\n".join(lines)


@command.command("example")
def example() -> None:
    """Every setting with its default, as .env.example holds it.

    \b
    Example:
      heliograph config example > .env
    """
    say_lines(settings_example())


def settings_table() -> str:
    """The README's table, from the fields."""
    rows = ["| name | default | meaning |", "|---|---|---|"]
    for field in FIELDS:
        default = f"`{field.shown}`" if field.shown else ""
        name = f"`{field.env}`" + (" (or `_FILE`)" if field.secret else "")
        rows.append(f"| {name} | {default} | {field.meaning} |")
    return "\n".join(rows)


@command.command("table")
def table() -> None:
    """The table of settings, as the README holds it.

    \b
    Example:
      heliograph config table
    """
    say_lines(settings_table())
