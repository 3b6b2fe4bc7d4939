"""Finds the tenant of a webhook, and the URL that Twilio signed.

The tenant follows from the route, else from AccountSid, else from our Messaging Service or number. Twilio signs the URL
that it was given, so the signature is verified over the configured public URL and the query as received; the Host
header of the request is never used.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from app.config.tenants import Tenant
from app.domain.content.phone import read_address
from app.provider.webhooks import Keyring, variants

Fields = Mapping[str, str]
LONGEST_REMEMBERED = 200
Name = TypeVar("Name", str, tuple[str, str])


class Kind(StrEnum):
    """The webhooks, by the last part of their path."""

    STATUS = "status"
    INBOUND = "inbound"
    FALLBACK = "fallback"

    # Several dictionary look-ups for each webhook; Enum's own __hash__ is written in Python and slower.
    __hash__ = str.__hash__


KINDS = {kind.value: kind for kind in Kind}


class WebhookRoute(msgspec.Struct, frozen=True):
    """The webhooks of one tenant. `urls`: by kind, each form of the public URL that Twilio may have signed."""

    tenant: Tenant
    keys: Keyring
    urls: dict[Kind, tuple[str, ...]]

    def signed_urls(self, kind: Kind, query: str) -> tuple[str, ...]:
        """The URLs of `kind`, each with the raw `query` appended."""
        if not query:
            return self.urls[kind]
        tail = f"?{query}"
        return tuple([url + tail for url in self.urls[kind]])


class WebhookRoutes:
    """Finds the `WebhookRoute` of a request among those of all tenants."""

    def __init__(self, tenants: Mapping[str, Tenant]) -> None:
        self._named = {name: _hook(tenant) for name, tenant in tenants.items()}
        self._by_account = _alone((hook.tenant.account_sid, hook) for hook in self.all)
        self._by_sender = _alone(
            ((account, sender), hook)
            for hook in self.all
            for sender in _senders(hook.tenant)
            for account in {hook.tenant.account_sid, ""}
        )

    @property
    def all(self) -> Iterable[WebhookRoute]:
        """The routes of all tenants."""
        return self._named.values()

    def find(self, name: str, kind: Kind, fields: Fields) -> WebhookRoute | None:
        """The route of the tenant `name`; if that is "", of the only tenant with this AccountSid, else of the only one
        with this sender. None if there is none."""
        if name:
            return self._named.get(name)
        account = fields.get("AccountSid", "")
        if account and (hook := self._by_account.get(account)) is not None:
            return hook
        ours = fields.get("From" if kind is Kind.STATUS else "To", "")
        for sender in (fields.get("MessagingServiceSid", ""), read_address(ours).canonical if ours else ""):
            found = self._by_sender.get((account, sender)) or self._by_sender.get(("", sender))
            if sender and found is not None:
                return found
        return None


def read_path(path: str) -> tuple[Kind, str] | None:
    """Kind and tenant name ("" if not given) of /twilio/status or /twilio/{tenant}/status; None for other paths."""
    return _remembered(path) if len(path) <= LONGEST_REMEMBERED else _read(path)


def _read(path: str) -> tuple[Kind, str] | None:
    parts = path.strip("/").split("/")
    kind = KINDS.get(parts[-1])
    if kind is None or len(parts) not in (2, 3) or parts[0] != "twilio":
        return None
    return kind, parts[1] if len(parts) == 3 else ""


_remembered = lru_cache(maxsize=1024)(_read)


def _hook(tenant: Tenant) -> WebhookRoute:
    inbound = _bare(tenant.inbound_url)
    urls = {Kind.STATUS: _bare(tenant.status_callback_url), Kind.INBOUND: inbound, Kind.FALLBACK: _fallback(inbound)}
    keys = Keyring(
        tuple("".join(token) for token in tenant.auth_tokens),
        {name: "".join(secret) for name, secret in tenant.shared_keys.items()},
    )
    return WebhookRoute(tenant, keys, {kind: variants(url) if url else () for kind, url in urls.items()})


def _bare(url: str) -> str:
    """Drop the query, which the request repeats, and the fragment, which Twilio does not send."""
    return urlunsplit((*urlsplit(url)[:3], "", ""))


def _fallback(inbound: str) -> str:
    """The URL of the fallback webhook, derived from that of the inbound webhook."""
    return f"{inbound.removesuffix('/inbound')}/fallback" if inbound.endswith("/inbound") else inbound


def _senders(tenant: Tenant) -> set[str]:
    lanes = tenant.lanes.values()
    named = {lane.messaging_service_sid for lane in lanes}
    return {*named, *(read_address(lane.from_number).canonical for lane in lanes if lane.from_number)} - {""}


def _alone(found: Iterable[tuple[Name, WebhookRoute]]) -> dict[Name, WebhookRoute]:
    """Keep the keys that belong to one tenant only."""
    rows = list(found)
    counts = Counter(name for name, _ in rows)
    return {name: hook for name, hook in rows if counts[name] == 1}
