"""One tenant's account looked at from outside: its credentials, its standing, and what it holds.

The account is read with each auth token, for webhooks are signed with one; the rest with what the worker sends with.
Credentials are of one region (Twilio: "Twilio Regions"): refused in one, they are tried in the others, if `base_url` is
one of them. Nothing is written.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

from app.config.tenants import Tenant
from app.provider.account.account_reader import read_account, read_held, read_numbers
from app.provider.account.account_state import Account
from app.provider.account.checks import judge, looked_into
from app.provider.account.findings import Finding, Name, shown
from app.provider.account.sdk_client import SdkClient, UnansweredCallError
from app.provider.http import API
from app.provider.request_url import TWILIO

REGIONS: Mapping[str, str] = MappingProxyType(
    {"us1": API, "ie1": "https://api.dublin.ie1.twilio.com", "au1": "https://api.sydney.au1.twilio.com"}
)
# A region is named together with an edge, or not at all.
_HOST = re.compile(r"api(\.[a-z0-9-]+\.[a-z0-9-]+)?\.twilio\.com\Z")
# Twilio's codes for test credentials and for an account that is not active.
BY_CODE = MappingProxyType({20008: Name.ACCOUNT_TEST, 20005: Name.ACCOUNT_SUSPENDED})
LOOPBACK = ("127.0.0.1", "::1", "localhost")
URL_FIELDS = ("status_callback_url", "inbound_url", "api_base_url")


def line_of(tenant: Tenant) -> SdkClient:
    """For the tenant's own account and server."""
    return SdkClient(tenant.account_sid, tenant.credentials, tenant.api_base_url.rstrip("/"))


def look_at_urls(tenant: Tenant) -> Iterator[Finding]:
    """What needs no call: URLs in clear, a region that is none, URLs that are not the tenant's."""
    for field in URL_FIELDS:
        parts = urlsplit(getattr(tenant, field))
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            yield Finding(name=Name.URL_HTTP, tenant=tenant.name, where=field, problem="is http")
    host = urlsplit(tenant.api_base_url).hostname or ""
    if f".{host}".endswith(TWILIO) and not _HOST.match(host):
        yield Finding(name=Name.REGION_UNKNOWN, tenant=tenant.name, where="api_base_url", problem=f"is {host}")
    yield from _unverified(tenant)


def _unverified(tenant: Tenant) -> Iterator[Finding]:
    """Declared URLs over which the door does not verify: it knows the tenant's. A fallback may be somebody else's."""
    services = [(f"services.{name}", service) for name, service in tenant.services.items()]
    numbers = [(f"numbers.{name}", number) for name, number in tenant.numbers.items()]
    for where, table in (*services, *numbers):
        for field in ("status_callback_url", "inbound_url"):
            given, own = _bare(getattr(table, field, "")), _bare(getattr(tenant, field))
            if given and given != own:
                problem = f"is {shown(given)}, the signature is verified over {shown(own) or 'none'}"
                yield Finding(name=Name.URL_MISMATCH, tenant=tenant.name, where=f"{where}.{field}", problem=problem)


def _bare(url: str) -> str:
    """Without query and fragment, which may differ."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


async def check(tenant: Tenant, regions: Mapping[str, str] = REGIONS) -> list[Finding]:
    """All that is found, by calls that only read."""
    found = list(look_at_urls(tenant))
    accounts = [await _account(tenant, _plain(token)) for token in tenant.auth_tokens]
    found += [finding async for finding in _told(tenant, accounts, regions)]
    if all(isinstance(account, UnansweredCallError) for account in accounts):
        return found
    try:
        async with line_of(tenant) as line:
            held = await read_held(line, lambda held: looked_into(tenant, held))
    except UnansweredCallError as no:
        return [*found, await _refused(tenant, no, regions)]
    return found + judge(tenant, held)


async def _account(tenant: Tenant, token: str, base_url: str = "") -> Account | UnansweredCallError:
    base = base_url or tenant.api_base_url.rstrip("/")
    try:
        async with SdkClient(tenant.account_sid, (tenant.account_sid, token), base) as line:
            return await read_account(line, tenant.account_sid)
    except UnansweredCallError as no:
        return no


async def _told(
    tenant: Tenant, accounts: list[Account | UnansweredCallError], regions: Mapping[str, str]
) -> AsyncIterator[Finding]:
    """Of each token, and of the account that the first good one shows."""
    good = next((account for account in accounts if isinstance(account, Account)), None)
    for at, account in enumerate(accounts):
        if isinstance(account, UnansweredCallError):
            yield await _no_account(tenant, at, account, regions) if good is None else _dead(tenant, at, account)
    if good is not None:
        for name, field, problem in _standing(tenant, good):
            yield Finding(name=name, tenant=tenant.name, where=field, problem=problem)


def _dead(tenant: Tenant, at: int, no: UnansweredCallError) -> Finding:
    problem = f"is refused ({no}), another one is good"
    return Finding(name=Name.TOKEN_DEAD, tenant=tenant.name, where=f"auth_tokens[{at}]", problem=problem)


async def _no_account(tenant: Tenant, at: int, no: UnansweredCallError, regions: Mapping[str, str]) -> Finding:
    """Why no token is good, by what one of them was answered."""
    if no.status not in (401, 403, 404):
        return _unanswered(tenant, no)
    name, problem = Name.TOKEN_NOT_OF_ACCOUNT, f"is no token of {tenant.account_sid} ({no})"
    if no.code in BY_CODE:
        name, problem = BY_CODE[no.code], f"is refused ({no})"
    for region, base in _others(tenant, regions) if no.status == 401 else ():
        if isinstance(await _account(tenant, _plain(tenant.auth_tokens[at]), base), Account):
            name, problem = Name.REGION_WRONG, f"is good in {region} only"
    return Finding(name=name, tenant=tenant.name, where=f"auth_tokens[{at}]", problem=problem)


def _standing(tenant: Tenant, account: Account) -> Iterator[tuple[Name, str, str]]:
    if account.sid != tenant.account_sid:
        yield Name.ACCOUNT_OTHER, "account_sid", f"is {tenant.account_sid}, the server shows {account.sid}"
    if account.status != "active":
        yield Name.ACCOUNT_SUSPENDED, "account_sid", f"is {account.status}"
    if account.type == "Trial":
        yield Name.ACCOUNT_TRIAL, "account_sid", "is a trial account"


async def _refused(tenant: Tenant, no: UnansweredCallError, regions: Mapping[str, str]) -> Finding:
    """The account is good, and what the worker calls with is not."""
    if not tenant.api_key_sid or no.status not in (401, 403, 404):
        return _unanswered(tenant, no)
    for region, base in _others(tenant, regions):
        try:
            async with SdkClient(tenant.account_sid, tenant.credentials, base) as line:
                await read_numbers(line)
        except UnansweredCallError:
            continue
        problem = f"is good in {region} only"
        return Finding(name=Name.REGION_WRONG, tenant=tenant.name, where="api_key_sid", problem=problem)
    return Finding(name=Name.API_KEY_REFUSED, tenant=tenant.name, where="api_key_sid", problem=f"is refused ({no})")


def _unanswered(tenant: Tenant, no: UnansweredCallError) -> Finding:
    name = Name.TWILIO_REFUSES if no.status else Name.TWILIO_UNREACHABLE
    return Finding(name=name, tenant=tenant.name, where="api_base_url", problem=str(no))


def _others(tenant: Tenant, regions: Mapping[str, str]) -> list[tuple[str, str]]:
    """The other regions, if its server is one: no other server is ever shown the credentials."""
    base = tenant.api_base_url.rstrip("/") or API
    return [(name, url) for name, url in regions.items() if url != base] if base in regions.values() else []


def _plain(secret: str) -> str:
    return "".join(secret)
