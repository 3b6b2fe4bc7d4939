"""What the commands under `heliograph twilio` share: whose account, how it is asked, what may be shown."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from app.cli.options.tenant import among
from app.cli.process.exit_codes import PROBLEMS, give_up
from app.cli.process.start import settings_or_exit
from app.config.settings import Settings
from app.config.tenants import Tenant
from app.domain.content.phone import mask

if TYPE_CHECKING:
    from app.provider.account.sdk_client import UnansweredCallError

T = TypeVar("T")
by_tenant = click.option("--tenant", help="Whose account; needed when there are several.")
of_tenants = click.option("--tenant", help="Only this tenant's account; else that of each.")
as_json = click.option("--json", "as_json", is_flag=True, help="JSON, one object per line.")
reveal = click.option("--reveal", is_flag=True, help="Show numbers and texts, which are masked otherwise.")
yes = click.option("--yes", is_flag=True, help="Do not ask.")


def chosen(name: str | None) -> list[Tenant]:
    """The tenant named, or all; exit 2 if it is none, or if one has no account to ask."""
    return chosen_of(name)[1]


def chosen_of(name: str | None) -> tuple[Settings, list[Tenant]]:
    """As `chosen`, with the settings that they are of."""
    settings, tenants = settings_or_exit(dict(os.environ))
    found = [tenants[among(name, tenants)]] if name is not None else list(tenants.values())
    lacking = [(tenant.name, field) for tenant in found for field in lacks(tenant)]
    if lacking:
        give_up(*(f"tenant {tenant}: {field}: is required (TWILIO_* or the tenants file)" for tenant, field in lacking))
    return settings, found


def lacks(tenant: Tenant) -> list[str]:
    """Fields without which its account cannot be asked."""
    return [field for field in ("account_sid", "auth_tokens") if not getattr(tenant, field)]


def one(name: str | None) -> Tenant:
    """The tenant named, or the only one; exit 2 otherwise."""
    found = chosen(name)
    if len(found) > 1:
        give_up(f"--tenant: is required, one of {', '.join(tenant.name for tenant in found)}")
    return found[0]


def asking(tenant: Tenant, ask: "Callable[..., Awaitable[T]]", *given: Any) -> T:
    """As `answer`; says what Twilio refused, with exit 1."""
    from app.provider.account.sdk_client import UnansweredCallError

    try:
        return answer(tenant, ask, *given)
    except UnansweredCallError as no:
        refused(no, tenant)


def answer(tenant: Tenant, ask: "Callable[..., Awaitable[T]]", *given: Any) -> T:
    """What `ask` returns of a line to the tenant's account and what is given. Raises UnansweredCallError."""
    from app.provider.account.account_checks import line_of

    async def run() -> T:
        async with line_of(tenant) as line:
            return await ask(line, *given)

    return asyncio.run(run())


def refused(no: "UnansweredCallError", tenant: Tenant) -> NoReturn:
    """Say why Twilio did not do it; exit 1."""
    give_up(because(no, tenant), code=PROBLEMS)


def because(no: "UnansweredCallError", tenant: Tenant) -> str:
    """Why Twilio did not do it, and who was asked if nobody answered."""
    from app.provider.account.findings import shown
    from app.provider.http import API

    more = f": heliograph errors {no.code}" if no.code else ""
    if not no.status:
        more = f": {shown(tenant.api_base_url) or API} was asked"
    return f"Twilio: {no}{more}"


def hidden(text: str, reveal: bool) -> str:
    """A number or name: masked unless it is to be revealed."""
    return text if reveal or not text else mask(text)


def sids(prefixes: Sequence[str]) -> Callable[..., Any]:
    """A click callback: SIDs of these kinds."""
    from app.config.parsers import broken, sid

    def read(_context: click.Context, _parameter: click.Parameter, given: str | tuple[str, ...]) -> Any:
        for text in (given,) if isinstance(given, str) else given:
            if all(broken(sid(prefix), text) for prefix in prefixes):
                raise click.BadParameter(f"must be {' or '.join(prefixes)} and 32 hex digits")
        return given

    return read
