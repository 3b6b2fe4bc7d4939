"""`heliograph twilio services|numbers`: what the account holds."""

from typing import TYPE_CHECKING, Any

import click
import msgspec
import orjson

from app.cli.options.plural import plural
from app.cli.output import raw, say, say_json
from app.cli.process.exit_codes import PROBLEMS, give_up
from app.cli.twilio.client import as_json, asking, by_tenant, hidden, one, reveal, sids

if TYPE_CHECKING:
    from app.provider.account.account_state import AccountNumber, AccountService, Members


@click.group("services")
def services() -> None:
    """Messaging Services of a tenant's account."""


@services.command("list")
@by_tenant
@raw
@as_json
def list_services(tenant: str | None, as_json: bool) -> None:
    """List services with the SIDs of their numbers.

    \b
    Examples:
      heliograph twilio services list
      heliograph twilio services list --tenant acme --json | jq -r .sid
    """
    from app.provider.account.account_reader import read_services

    for service in asking(one(tenant), read_services):
        told = _service(service, None)
        text = f"{service.sid}  {plural(len(service.numbers), 'number')}  {service.friendly_name}"
        say_json(told) if as_json else say(text)


@services.command("show")
@click.argument("sid", callback=sids(["MG"]))
@by_tenant
@raw
@as_json
def show_service(sid: str, tenant: str | None, as_json: bool) -> None:
    """Show one Messaging Service. Shows its webhooks, numbers, other senders and US A2P campaigns.

    \b
    Example:
      heliograph twilio services show MG00000000000000000000000000000001
    """
    from app.provider.account.account_reader import read_service

    _tell(_service(*asking(one(tenant), read_service, sid)), as_json)


@click.group("numbers")
def numbers() -> None:
    """Numbers of a tenant's account."""


@numbers.command("list")
@by_tenant
@reveal
@raw
@as_json
def list_numbers(tenant: str | None, reveal: bool, as_json: bool) -> None:
    """List the numbers, masked.

    \b
    Examples:
      heliograph twilio numbers list
      heliograph twilio numbers list --reveal --json | jq -r 'select(.sms) | .phone_number'
    """
    from app.provider.account.account_reader import read_numbers

    for number in asking(one(tenant), read_numbers):
        able = " ".join(name for name, is_able in (("sms", number.sms), ("mms", number.mms)) if is_able)
        text = f"{number.sid}  {hidden(number.phone_number, reveal):16} {able or 'no texts'}"
        say_json(_number(number, reveal)) if as_json else say(text)


@numbers.command("show")
@click.argument("number")
@by_tenant
@reveal
@raw
@as_json
def show_number(number: str, tenant: str | None, reveal: bool, as_json: bool) -> None:
    """Show one number with its webhooks. Identify it by SID or in E.164.

    \b
    Examples:
      heliograph twilio numbers show PN00000000000000000000000000000001
      heliograph twilio numbers show +14155550123
    """
    from app.config.parsers import broken
    from app.config.twilio_account import number as read
    from app.provider.account.account_reader import read_number, read_numbers

    if rule := broken(read, number):
        raise click.BadParameter(rule, param_hint="NUMBER")
    if number.startswith("PN"):
        found = [asking(one(tenant), read_number, number)]
    else:
        alike = asking(one(tenant), read_numbers, number)  # Twilio takes it as a part of one, too
        found = [held for held in alike if held.phone_number == number]
    if not found:
        give_up("no such number in this account", code=PROBLEMS)
    _tell(_number(found[0], reveal), as_json)


def _service(service: "AccountService", members: "Members | None") -> dict[str, Any]:
    from app.provider.account.findings import shown

    told: dict[str, Any] = msgspec.to_builtins(service)
    told |= {name: shown(told[name]) for name in ("inbound_request_url", "fallback_url", "status_callback")}
    return told if members is None else {**told, **msgspec.to_builtins(members)}


def _number(number: "AccountNumber", reveal: bool) -> dict[str, Any]:
    """Twilio makes the friendly name from the number."""
    from app.provider.account.findings import shown

    told: dict[str, Any] = msgspec.to_builtins(number)
    names = {name: hidden(told[name], reveal) for name in ("phone_number", "friendly_name")}
    return {**told, **names, **{name: shown(told[name]) for name in ("sms_url", "sms_fallback_url")}}


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(told)
        return
    for name, value in told.items():
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        say(f"{name:30} {text or '-'}")
