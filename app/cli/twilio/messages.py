"""`heliograph twilio messages`: texts as Twilio keeps them."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from app.cli.options.operator import by_option
from app.cli.options.plural import plural
from app.cli.options.timestamps import moment
from app.cli.output import raw, say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS
from app.cli.process.start import reaching_kafka, settings_or_exit
from app.cli.twilio.client import answer, as_json, asking, because, by_tenant, hidden, one, reveal, sids, yes
from app.config import parsers
from app.config.tenants import Tenant

if TYPE_CHECKING:
    from app.provider.account.messages_api import MessageFilter, TwilioMessage
    from app.provider.account.sdk_client import SdkClient

SID = sids(["SM", "MM"])
DEFAULT_LIMIT = 50


def _recipient(_context: click.Context, _parameter: click.Parameter, given: str) -> str:
    """A number, in a channel or not: of anything else Twilio lists nothing, as if nothing had been sent."""
    if given and not re.fullmatch(f"([a-z]+:)?({parsers.E164})", given):
        raise click.BadParameter("must be a number in E.164 (+14155550123)")
    return given


@click.group("messages")
def messages() -> None:
    """Manage message resources at Twilio. Use `heliograph explain` for messages of heliograph."""


@messages.command("fetch")
@click.argument("sid", callback=SID)
@by_tenant
@reveal
@by_option
@raw
@as_json
def fetch(sid: str, tenant: str | None, reveal: bool, by: str, as_json: bool) -> None:
    """Show one text. Prints status, error code, segments, price. That --reveal showed it is kept on notify.consent.

    \b
    Example:
      heliograph twilio messages fetch SM00000000000000000000000000000001 --reveal
    """
    from app.provider.account import messages_api

    account = one(tenant)
    text = asking(account, messages_api.fetch, sid)
    if reveal:
        _recorded(account, sid, by)
    _tell(_shown(text, reveal), as_json)


@messages.command("list")
@click.option("--to", default="", callback=_recipient, help="Only to this number.")
@click.option("--from", "sender", default="", help="Only from this number.")
@click.option("--since", callback=moment, help="Only sent from then on: RFC 3339 with offset, or 30s, 15m, 2h, 7d ago.")
@click.option("--until", callback=moment, help="Only sent until then.")
@click.option("--limit", type=click.IntRange(1), default=DEFAULT_LIMIT, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="No limit: page by page to the end.")
@by_tenant
@reveal
@by_option
@raw
@as_json
def list_texts(
    to: str,
    sender: str,
    since: int | None,
    until: int | None,
    limit: int,
    everything: bool,
    tenant: str | None,
    reveal: bool,
    by: str,
    as_json: bool,
) -> None:
    """List texts, newest first. That --reveal showed them is kept on notify.consent.

    \b
    Examples:
      heliograph twilio messages list --since 1h
      heliograph twilio messages list --to +14155550123 --all --json | jq -r .status
    """
    from app.provider.account.messages_api import MessageFilter

    wish, account = MessageFilter(to=to, sender=sender, since=_time(since), until=_time(until)), one(tenant)
    if reveal:
        _recorded(account, "", by)
    asking(account, _list, wish, None if everything else limit, reveal, as_json)


async def _list(line: "SdkClient", wish: "MessageFilter", limit: int | None, reveal: bool, as_json: bool) -> None:
    from app.provider.account.messages_api import listed

    async for text in listed(line, wish, limit):
        told = _shown(text, reveal)
        code = f" ({text.error_code})" if text.error_code else ""
        words = f"{text.sid}  {text.created}  {told['from']:>16} -> {told['to']:16} {text.status}{code}"
        say_json(told) if as_json else say(words)


@messages.command("cancel")
@click.argument("sid", callback=SID)
@by_tenant
@as_json
def cancel(sid: str, tenant: str | None, as_json: bool) -> None:
    """Cancel a text scheduled at Twilio. Use `heliograph cancel` for a message of heliograph.

    \b
    Example:
      heliograph twilio messages cancel SM00000000000000000000000000000001
    """
    from app.provider.account import messages_api

    _tell(_shown(asking(one(tenant), messages_api.cancel, sid), False), as_json)


@messages.command("redact")
@click.argument("sids", nargs=-1, required=True, callback=SID)
@by_tenant
@yes
@as_json
def redact(sids: tuple[str, ...], tenant: str | None, yes: bool, as_json: bool) -> None:
    """Empty the body of texts at Twilio. Number, status and price stay. It cannot be undone.

    \b
    Example:
      heliograph twilio messages redact SM00000000000000000000000000000001 --yes
    """
    from app.provider.account import messages_api

    _each(_sure(one(tenant), "Empty", len(sids), yes), messages_api.redact, "redacted", sids, as_json)


@messages.command("delete")
@click.argument("sids", nargs=-1, required=True, callback=SID)
@by_tenant
@yes
@as_json
def delete(sids: tuple[str, ...], tenant: str | None, yes: bool, as_json: bool) -> None:
    """Delete texts at Twilio. This cannot be undone, and what became of them can no longer be looked up there.

    \b
    Example:
      heliograph twilio messages delete SM00000000000000000000000000000001 --yes
    """
    from app.provider.account import messages_api

    _each(_sure(one(tenant), "Delete", len(sids), yes), messages_api.delete, "deleted", sids, as_json)


def _each(account: Tenant, ask: Callable[..., Any], done: str, sids: Sequence[str], as_json: bool) -> None:
    """All of them, though Twilio refuses one; says which, and then exit 1."""
    from app.provider.account.sdk_client import UnansweredCallError

    refusals = 0
    for sid in sids:
        try:
            answer(account, ask, sid)
        except UnansweredCallError as no:
            refusals += 1
            say(f"error: {sid}: {because(no, account)}", err=True)
        else:
            say_json({done: sid}) if as_json else say(f"{done} {sid}")
    sys.exit(PROBLEMS if refusals else OK)


def _sure(tenant: Tenant, verb: str, count: int, yes: bool) -> Tenant:
    if not yes:
        click.confirm(f"{verb} {plural(count, 'text')} at Twilio, of tenant {tenant.name}?", abort=True, err=True)
    return tenant


def _recorded(account: Tenant, sid: str, by: str) -> None:
    from app.cli.queries.reveal_audit import record_texts

    settings, _ = settings_or_exit(dict(os.environ))
    with reaching_kafka(settings):
        asyncio.run(record_texts(settings, account.name, sid, by))


def _time(at_ms: int | None) -> datetime | None:
    """In UTC: the SDK writes the time of any other zone as if it were."""
    return datetime.fromtimestamp(at_ms / 1000, UTC) if at_ms is not None else None


def _shown(text: "TwilioMessage", reveal: bool) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(text)
    to, sender, body = told.pop("to"), told.pop("sender"), told.pop("body")
    masked = {"from": hidden(sender, reveal), "to": hidden(to, reveal), "body": body if reveal or not body else "•••"}
    return {**told, **masked}


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(told)
        return
    for name, value in told.items():
        say(f"{name:12} {value or '-'}")
