"""What is missing, ambiguous or unusual in the tenants as they are configured: one line each."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from app.config.create_parameters import Parameters, describe_failure_limits
from app.config.settings import FIELDS
from app.config.tenants import Tenant


def missing_field_faults(tenants: Mapping[str, Tenant], faults: Sequence[str]) -> list[str]:
    """What would stop a tenant's texts or its webhooks, one line each; of a field that is among the faults, or that
    comes from a file that is, nothing more is said."""
    return [
        f"tenant {name}: {field}: {rule}"
        for name, tenant in tenants.items()
        for field, rule in _lacks(tenant)
        if not any(prefix in fault for fault in faults for prefix in _fault_prefixes(name, field))
    ]


def _fault_prefixes(name: str, field: str) -> Iterator[str]:
    """How a fault names a tenant's field or a part of it; the tenant from TWILIO_* has the names of settings."""
    yield from (f"tenants.{name}.{field}{end}" for end in (":", ".", "[", "_file:"))
    yield from (f"{setting.env}_FILE:" for setting in FIELDS if setting.name == field and name == "default")


def _lacks(tenant: Tenant) -> Iterator[tuple[str, str]]:
    yield from sending_faults(tenant)
    if tenant.api_key_sid and not tenant.auth_tokens and not tenant.shared_keys:
        yield "auth_tokens", "is required"  # webhooks are not signed with an API key
    for field in ("status_callback_url", "inbound_url"):
        if not _public(getattr(tenant, field)):
            yield field, "must be an https URL"
    yield from unresolved_service_faults(tenant)


def sending_faults(tenant: Tenant) -> Iterator[tuple[str, str]]:
    """Fields and rules for want of which none of its texts can leave."""
    if not tenant.account_sid:
        yield "account_sid", "must be AC..."
    if not tenant.auth_tokens and not tenant.api_key_sid:
        yield "auth_tokens", "is required"
    if tenant.api_key_sid and not tenant.api_key_secret:
        yield "api_key_secret", "is required with api_key_sid"
    if not all(lane.messaging_service_sid or lane.from_number or lane.service for lane in tenant.lanes.values()):
        yield "lanes", "each needs a messaging service or a number"


def unresolved_service_faults(tenant: Tenant) -> list[tuple[str, str]]:
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
        for code, text in describe_failure_limits(tenant.invalid_after)
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


def parameter_notes(tenants: Mapping[str, Tenant], about: Mapping[str, str]) -> list[str]:
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
