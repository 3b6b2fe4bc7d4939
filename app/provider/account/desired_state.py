"""What the tenants file wants the account to be, in Twilio's words: its names are those of the SDK's arguments."""

from urllib.parse import urlsplit, urlunsplit

import msgspec

from app.config import twilio_account
from app.config.tenants import Tenant
from app.provider.account.account_reader import Field

# Without it Twilio tries again once, and only when no connection was made (Twilio: "Webhooks: connection overrides").
OVERRIDES = "rc=5&rp=all"


class DesiredWebhooks(msgspec.Struct, frozen=True, kw_only=True):
    """The URLs that Twilio is to call, overrides included; "": none is configured."""

    status: str
    inbound: str
    fallback: str


class DesiredService(msgspec.Struct, frozen=True, kw_only=True):
    """`name`: in the file; `friendly_name`: by which it is found while its SID is not in the file; `fields`: what is to
    be so at Twilio, nothing else is touched; `numbers`: E.164 or PN SID."""

    name: str
    sid: str
    friendly_name: str
    fields: dict[str, Field]
    numbers: tuple[str, ...]


class DesiredNumber(msgspec.Struct, frozen=True, kw_only=True):
    """`number`: E.164 or PN SID."""

    name: str
    number: str
    fields: dict[str, Field]


class DesiredState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a tenant declares."""

    services: tuple[DesiredService, ...]
    numbers: tuple[DesiredNumber, ...]


def wanted(tenant: Tenant) -> DesiredState:
    """From the tenant's tables."""
    services = [_service(tenant, name, service) for name, service in tenant.services.items()]
    numbers = [_number(tenant, name, number) for name, number in tenant.numbers.items()]
    return DesiredState(services=tuple(services), numbers=tuple(numbers))


def webhooks(tenant: Tenant, status: str = "", inbound: str = "", fallback: str = "") -> DesiredWebhooks:
    """The tenant's URLs, or those given instead; the fallback is the neighbour of the inbound URL."""
    inbound = inbound or tenant.inbound_url
    fallback = fallback or neighbour(inbound)
    return DesiredWebhooks(
        status=overridden(status or tenant.status_callback_url, tenant.webhook_overrides),
        inbound=overridden(inbound, tenant.webhook_overrides),
        fallback=overridden(fallback, tenant.webhook_overrides),
    )


def overridden(url: str, overrides: str = OVERRIDES) -> str:
    """With the connection overrides, unless it has a fragment of its own."""
    return url if not url or urlsplit(url).fragment else f"{url.rstrip('#')}#{overrides}".rstrip("#")


def neighbour(inbound: str) -> str:
    """Where the door takes what the inbound webhook did not; "" if the inbound URL is not one of the door's."""
    parts = urlsplit(inbound)
    path = parts.path.removesuffix("/inbound")
    return urlunsplit(parts._replace(path=f"{path}/fallback")) if path != parts.path else ""


def _service(tenant: Tenant, name: str, given: twilio_account.ServiceConfig) -> DesiredService:
    urls = webhooks(tenant, given.status_callback_url, given.inbound_url, given.fallback_url)
    friendly_name = given.friendly_name or f"heliograph {tenant.name} {name}"
    fields: dict[str, Field | None] = {
        # One that has its SID in the file keeps the name it has, unless the file says another.
        "friendly_name": friendly_name if given.friendly_name or not given.sid else None,
        "status_callback": urls.status or None,
        "inbound_request_url": urls.inbound or None,
        "inbound_method": "POST",
        "fallback_url": urls.fallback or None,
        "fallback_method": "POST",
        "sticky_sender": given.sticky_sender,
        "area_code_geomatch": given.area_code_geomatch,
        "smart_encoding": given.smart_encoding,
        "mms_converter": given.mms_converter,
        "validity_period": given.validity_s,
        "use_inbound_webhook_on_number": given.use_inbound_webhook_on_number,
    }
    shown = {"name": name, "sid": given.sid, "friendly_name": friendly_name}
    return DesiredService(**shown, fields=_told(fields), numbers=given.numbers)


def _number(tenant: Tenant, name: str, given: twilio_account.NumberConfig) -> DesiredNumber:
    urls = webhooks(tenant, "", given.inbound_url, given.fallback_url)
    fields: dict[str, Field | None] = {
        "sms_url": urls.inbound or None,
        "sms_method": "POST",
        "sms_fallback_url": urls.fallback or None,
        "sms_fallback_method": "POST",
    }
    return DesiredNumber(name=name, number=given.number, fields=_told(fields))


def _told(fields: dict[str, Field | None]) -> dict[str, Field]:
    return {name: value for name, value in fields.items() if value is not None}
