"""`heliograph config`: show, check and document settings and tenants."""

import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from app.cli.output import say, say_json, say_lines
from app.cli.process.exit_codes import OK, PROBLEMS, USAGE
from app.cli.process.start import looked_at, settings_or_exit
from app.cli.queries.request_topics import request_topics
from app.config.api_key_store import ApiKeyStore
from app.config.create_parameters import MISLEADING, WORTH_KNOWING
from app.config.parsers import Secret
from app.config.reference import settings_example, settings_table
from app.config.settings import FIELDS
from app.config.tenant_checks import (
    failures,
    lookups,
    missing_field_faults,
    parameter_notes,
    sandboxes,
    shared,
    unretried,
)


@click.group("config")
def command() -> None:
    """Show and check settings and tenants."""


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(as_json: bool) -> None:
    """Show the effective settings. Secrets are hidden; numbers that a sandbox may text are masked.

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
    """Check settings and tenants. Exit 2 on what would stop a worker from starting or sending, 1 on warnings.

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
        "problems": missing + missing_field_faults(tenants, faults),
        "warnings": [*shared(tenants), *parameter_notes(tenants, MISLEADING), *store.warnings()],
        "notes": [
            *sandboxes(tenants),
            *request_topics(tenants),
            *parameter_notes(tenants, WORTH_KNOWING),
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


def _hidden(secret: bool, value: Any) -> Any:
    if secret or isinstance(value, Secret):
        return "***" if value else ""
    return str(value) if isinstance(value, Path) else msgspec.to_builtins(value)


@command.command("example")
def example() -> None:
    """Print every setting with its default. This is the content of .env.example.

    \b
    Example:
      heliograph config example > .env
    """
    say_lines(settings_example())


@command.command("table")
def table() -> None:
    """Print the table of all settings. `ops/guide/settings.md` holds it.

    \b
    Example:
      heliograph config table
    """
    say_lines(settings_table())
