"""Whose webhook a request is, and over which URL Twilio signed it: tenant by route, else by AccountSid.

Twilio signs the URL that it was given, so the signature is verified over the configured public URL of that route and
the query as it came; the request's own Host header is never asked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

import msgspec

from app.provider.webhooks import variants
from app.tenants import Tenant


class Kind(StrEnum):
    """The webhooks, by the last part of their path."""

    STATUS = "status"
    INBOUND = "inbound"
    FALLBACK = "fallback"


KINDS = {kind.value: kind for kind in Kind}


class Hook(msgspec.Struct, frozen=True):
    """One tenant's webhooks. `urls`: by kind, every form of the public URL that Twilio may have signed."""

    tenant: Tenant
    secrets: tuple[str, ...]
    urls: dict[Kind, tuple[str, ...]]

    def signed_urls(self, kind: Kind, query: bytes) -> tuple[str, ...]:
        """The URLs with the raw query."""
        if not query:
            return self.urls[kind]
        tail = f"?{query.decode('latin-1')}"
        return tuple([url + tail for url in self.urls[kind]])


class Hooks:
    """Every tenant's webhooks."""

    def __init__(self, tenants: Mapping[str, Tenant]) -> None:
        self._named = {name: _hook(tenant) for name, tenant in tenants.items()}
        self._by_account = _alone(self._named.values())

    def find(self, name: str, account_sid: str) -> Hook | None:
        """By the name in the route, else by AccountSid, if that is one tenant's alone."""
        return self._named.get(name) if name else self._by_account.get(account_sid)


def read_path(path: str) -> tuple[Kind, str] | None:
    """/twilio/status and /twilio/{tenant}/status: the kind and the name of the tenant or ""."""
    parts = path.strip("/").split("/")
    kind = KINDS.get(parts[-1])
    if kind is None or len(parts) not in (2, 3) or parts[0] != "twilio":
        return None
    return kind, parts[1] if len(parts) == 3 else ""


def _hook(tenant: Tenant) -> Hook:
    inbound = _bare(tenant.inbound_url)
    urls = {Kind.STATUS: _bare(tenant.status_callback_url), Kind.INBOUND: inbound, Kind.FALLBACK: _fallback(inbound)}
    secrets = tuple("".join(token) for token in tenant.auth_tokens)
    return Hook(tenant, secrets, {kind: variants(url) if url else () for kind, url in urls.items()})


def _bare(url: str) -> str:
    """Without query (it comes back with the request) and fragment (Twilio keeps it to itself)."""
    return urlunsplit((*urlsplit(url)[:3], "", ""))


def _fallback(inbound: str) -> str:
    """The neighbour of the inbound URL."""
    return f"{inbound.removesuffix('/inbound')}/fallback" if inbound.endswith("/inbound") else inbound


def _alone(hooks: Iterable[Hook]) -> dict[str, Hook]:
    """By AccountSid; tenants that share one are told apart by their routes only."""
    found = [hook for hook in hooks if hook.tenant.account_sid]
    counts = Counter(hook.tenant.account_sid for hook in found)
    return {hook.tenant.account_sid: hook for hook in found if counts[hook.tenant.account_sid] == 1}
