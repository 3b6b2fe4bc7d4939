"""`heliograph twilio`: the tenant's account at Twilio, set up as the tenants file says, checked, and looked at."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click

from app.cli.options.plural import plural
from app.cli.output import say, say_json
from app.cli.process.exit_codes import OK, PROBLEMS
from app.cli.queries.findings import as_object, lines, readable_secrets
from app.cli.twilio.client import as_json, asking, chosen, chosen_of, of_tenants, refused, reveal, yes
from app.cli.twilio.holdings import numbers, services
from app.cli.twilio.messages import messages
from app.cli.twilio.plan_view import PlanView, sids_to_keep, tell
from app.config.tenants import Tenant

if TYPE_CHECKING:
    from app.provider.account.sdk_client import SdkClient

prune = click.option(
    "--prune",
    is_flag=True,
    help="Take numbers out of declared services that do not declare them, and of any service if another declares them.",
)


@click.group("twilio")
def command() -> None:
    """Set up and check a tenant's Twilio account.

    These commands ask Twilio itself, or the server that TWILIO_API_BASE_URL (or api_base_url) names.
    """


command.add_command(messages)
command.add_command(services)
command.add_command(numbers)


@command.command("plan")
@of_tenants
@prune
@reveal
@as_json
def plan(tenant: str | None, prune: bool, reveal: bool, as_json: bool) -> None:
    """Show what `apply` would change. Lists every field. Exit 1 if something is refused.

    \b
    Examples:
      heliograph twilio plan
      heliograph twilio plan --tenant acme --prune --json
    """
    told = [asking(one, _planned, one, prune) for one in chosen(tenant)]
    tell(told, reveal=reveal, as_json=as_json)
    sys.exit(PROBLEMS if any(one.refused for one in told) else OK)


@command.command("apply")
@of_tenants
@prune
@yes
@reveal
@as_json
def apply(tenant: str | None, prune: bool, yes: bool, reveal: bool, as_json: bool) -> None:
    """Apply the tenants file to Twilio. Services, numbers and webhooks are set as declared.

    The changes are shown first; if one is refused, none is made. Done twice it changes nothing. Nothing is removed
    without --prune, which takes numbers out of declared services, and asks before it does. The SIDs of services that
    the tenants file does not hold yet are printed for it.

    \b
    Examples:
      heliograph twilio apply
      heliograph twilio apply --tenant acme --prune --yes
    """
    told = [asking(one, _planned, one, prune) for one in chosen(tenant)]
    if not as_json:
        tell(told, reveal=reveal, as_json=False)
    if any(one.refused for one in told):
        if as_json:
            tell(told, reveal=reveal, as_json=True)
        sys.exit(PROBLEMS)
    out = sum(one.detached for one in told)
    if out and not yes:
        taken = plural(out, "number out of its service", "numbers out of their services")
        click.confirm(f"Take {taken}?", abort=True, err=True)
    for one in told:
        asking(one.tenant, _applied, one)
    if as_json:
        tell(told, reveal=reveal, as_json=True)
    else:
        sids_to_keep(told)


@command.command("check")
@of_tenants
@as_json
def check(tenant: str | None, as_json: bool) -> None:
    """Find common account misconfigurations. All calls are read-only. Exit 1 if something is found.

    Secret files, credentials, account, region, services, senders, webhooks, US A2P campaigns, toll-free verifications.
    Each finding has a name from a closed list, what is wrong, where, and what to do.

    \b
    Examples:
      heliograph twilio check
      heliograph twilio check --json | jq -r 'select(.name == "url_mismatch")'
    """
    from app.provider.account.account_checks import check as look

    settings, tenants = chosen_of(tenant)
    found = list(readable_secrets(os.environ, settings, {one.name: one for one in tenants}))
    found += [finding for one in tenants for finding in asyncio.run(look(one))]
    for finding in found:
        if as_json:
            say_json(as_object(finding))
            continue
        for text in lines(finding):
            say(text)
    if not found and not as_json:
        say("nothing found")
    sys.exit(PROBLEMS if found else OK)


async def _planned(line: "SdkClient", tenant: Tenant, prune: bool) -> PlanView:
    from app.provider.account.account_reader import read_held
    from app.provider.account.desired_state import wanted
    from app.provider.account.plan import plan, sids

    wish, held = wanted(tenant), await read_held(line)
    return PlanView(tenant, plan(wish, held, prune=prune), sids(wish, held))


async def _applied(line: "SdkClient", told: PlanView) -> None:
    """Notes what was made; says how far it came if Twilio refuses."""
    from app.provider.account.apply import apply
    from app.provider.account.sdk_client import UnansweredCallError

    try:
        async for change, sid in apply(line, told.changes):
            told.done += 1
            if change.action == "create":
                told.made[change.where.removeprefix("services.")] = sid
    except UnansweredCallError as no:
        say(f"{plural(told.done, 'change was', 'changes were')} made; a new plan goes on from there", err=True)
        sids_to_keep([told], err=True)
        refused(no, told.tenant)
