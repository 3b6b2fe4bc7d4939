"""`heliograph config show|check`."""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import click
import msgspec
import orjson

from app.cli import OK, PROBLEMS, settings_or_exit
from app.settings import FIELDS
from app.tenants import Tenant
from app.values import Secret


@click.group("config")
def command() -> None:
    """Show and check settings and tenants."""


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(as_json: bool) -> None:
    """Settings in force; secrets hidden.

    \b
    Example:
      heliograph config show --json
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    shown = {field.env: _hidden(field.secret, getattr(settings, field.name)) for field in FIELDS}
    if as_json:
        click.echo(orjson.dumps({"settings": shown, "tenants": list(tenants)}).decode())
        return
    for name, value in shown.items():
        click.echo(f"{name}={value}")
    click.echo(f"tenants: {', '.join(tenants)}")


@command.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(as_json: bool) -> None:
    """Exit 2 on a fault of the settings, 1 on what would stop a worker from sending.

    \b
    Example:
      heliograph config check && heliograph worker
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    found = list(settings.keys_missing()) + [p for tenant in tenants.values() for p in problems(tenant)]
    if as_json:
        click.echo(orjson.dumps({"problems": found}).decode())
    else:
        click.echo("\n".join(found) or "settings are complete")
    sys.exit(PROBLEMS if found else OK)


def problems(tenant: Tenant) -> list[str]:
    """What would stop a tenant's texts or its webhooks, one line each."""
    wanted = {
        "account_sid: must be AC...": tenant.account_sid.startswith("AC"),
        "auth_tokens: is required": bool(tenant.auth_tokens),
        "api_key_secret: is required with api_key_sid": bool(tenant.api_key_secret) or not tenant.api_key_sid,
        "status_callback_url: must be an https URL": _public(tenant.status_callback_url),
        "inbound_url: must be an https URL": _public(tenant.inbound_url),
        "lanes: each needs a messaging service or a number": all(
            lane.messaging_service_sid or lane.from_number for lane in tenant.lanes.values()
        ),
    }
    return [f"tenant {tenant.name}: {rule}" for rule, good in wanted.items() if not good]


def _public(url: str) -> bool:
    """Twilio reaches https only; plain http is for a simulator on this machine."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts)))
    except ValueError:
        return False


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
    click.echo(settings_example())


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
    click.echo(settings_table())
