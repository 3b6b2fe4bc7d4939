"""`heliograph keys api`: keys of teams for /v1."""

import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from msgspec.structs import replace

from app import clock
from app.cli.options.tenant import whose
from app.cli.options.timestamps import moment
from app.cli.output import say, say_json
from app.cli.process.exit_codes import PROBLEMS, give_up
from app.cli.process.start import settings_or_exit
from app.config.api_key_store import ApiKeyFileError, change_entries, read_entries
from app.config.api_keys import ApiKey, Scope, generate
from app.config.settings import Settings

_NAME = re.compile(r"[\w .@/-]{0,64}", re.ASCII)
DAYS = re.compile(r"([1-9]\d{0,4})d")
DAY_MS = 86_400_000
SCOPES = [scope.value for scope in Scope]
RELOAD = "each ingress reads it at SIGHUP (systemctl reload) or at its start"


@click.group("keys")
def command() -> None:
    """Make, list and revoke keys."""


@command.group("api")
def api() -> None:
    """Keys of teams for /v1, kept as hashes.

    They stand in the file that HELIOGRAPH_API_KEY_STORE names, which each ingress reads at its start and at SIGHUP.
    """


def _expiry(context: click.Context, option: click.Parameter, text: str | None) -> str:
    """RFC 3339 in UTC, "" for never."""
    if text is None:
        return ""
    if days := DAYS.fullmatch(text):
        return clock.iso(clock.now_ms() + int(days[1]) * DAY_MS)
    try:
        at_ms = moment(context, option, text)
    except click.BadParameter:
        raise click.BadParameter("must be RFC 3339 (2027-03-03T10:00:00Z) or days from now (90d)") from None
    if at_ms is None or at_ms <= clock.now_ms():
        raise click.BadParameter("must lie ahead")
    return clock.iso(at_ms)


def _named(_context: click.Context, _option: click.Parameter, text: str) -> str:
    if not _NAME.fullmatch(text):
        raise click.BadParameter("must be at most 64 letters, digits, blanks, dots, dashes, slashes or @")
    return text


@api.command("create")
@click.option("--tenant", help="Whose key; needed when there are several and none is called default.")
@click.option("--name", default="", callback=_named, help="Who uses it, for `list`.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="Repeat for more.")
@click.option("--expires", "expires_at", callback=_expiry, help="2027-03-03T10:00:00Z, or days from now: 90d.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create(tenant: str | None, name: str, scopes: tuple[str, ...], expires_at: str, as_json: bool) -> None:
    """Make a key and print it, this once.

    \b
    Examples:
      heliograph keys api create --tenant acme --name ci --scope send --scope read
      heliograph keys api create --scope cancel --expires 90d --json
    """
    settings, tenants = settings_or_exit(dict(os.environ))
    entry, key = generate(whose(tenant, tenants), [Scope(scope) for scope in scopes], name, expires_at)
    _change(settings, lambda entries: (*entries, entry))
    if as_json:
        say_json({"key": key.reveal(), **_shown(entry)})
        return
    say(key.reveal())
    told = f"key {entry.key_id} of tenant {entry.tenant} ({', '.join(entry.scopes)}) is in {settings.api_key_store}"
    say(f"{told}; it is not shown again; {RELOAD}", err=True)


@api.command("list")
@click.option("--tenant", default=None, help="Of this tenant alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per key.")
def list_(tenant: str | None, as_json: bool) -> None:
    """List keys without their secrets.

    \b
    Examples:
      heliograph keys api list
      heliograph keys api list --tenant acme --json
    """
    settings, _ = settings_or_exit(dict(os.environ))
    try:
        entries = read_entries(settings.api_key_store)
    except ApiKeyFileError as error:
        give_up(f"{settings.api_key_store}: {error}", code=PROBLEMS)
    for entry in entries:
        if tenant in (None, entry.tenant):
            say_json(_shown(entry)) if as_json else say(_line(entry))


@api.command("revoke")
@click.argument("key_id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def revoke(key_id: str, as_json: bool) -> None:
    """Revoke a key for ever. Its entry is kept.

    \b
    Example:
      heliograph keys api revoke k3j5h2m4xq
    """
    settings, _ = settings_or_exit(dict(os.environ))
    # More than one where the file was written by hand; all of them are revoked.
    entry = next(found for found in _change(settings, partial(_revoked, key_id)) if found.key_id == key_id)
    say_json(_shown(entry)) if as_json else say(f"key {key_id} is revoked; {RELOAD}")


def _revoked(key_id: str, entries: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
    """The entries with that one revoked; a second time changes nothing. Exit 1 if it is not there."""
    if all(entry.key_id != key_id for entry in entries):
        give_up(f"KEY_ID: there is no key {key_id}", code=PROBLEMS)
    now = clock.iso(clock.now_ms())
    mine = {entry.key_id for entry in entries if entry.key_id == key_id and not entry.revoked_at}
    return tuple(replace(entry, revoked_at=now) if entry.key_id in mine else entry for entry in entries)


Entries = tuple[ApiKey, ...]


def _change(settings: Settings, change: Callable[[Entries], Entries]) -> tuple[ApiKey, ...]:
    try:
        return change_entries(settings.api_key_store, change)
    except ApiKeyFileError as error:
        give_up(f"{settings.api_key_store}: {error}", code=PROBLEMS)


def _shown(entry: ApiKey) -> dict[str, Any]:
    """The key as it is printed: without its hash."""
    state = entry.refusal(clock.now_ms()).rpartition(" ")[2] or "live"
    fields = ("key_id", "tenant", "name", "created_at", "expires_at", "revoked_at")
    times = {name: getattr(entry, name) or None for name in fields}
    return {**times, "scopes": [str(scope) for scope in entry.scopes], "state": state}


def _line(entry: ApiKey) -> str:
    shown = _shown(entry)
    until = f", until {entry.expires_at}" if entry.expires_at else ""
    name = f" {entry.name}" if entry.name else ""
    return f"{entry.key_id}  {shown['state']:8} {entry.tenant}{name}: {', '.join(entry.scopes)}{until}"
