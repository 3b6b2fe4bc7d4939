"""What commands say of the topics from which each tenant's requests are taken."""

from collections.abc import Mapping

from app.config.tenants import Tenant


def request_topics(tenants: Mapping[str, Tenant]) -> list[str]:
    """From where the requests of each tenant are taken; nothing of the only one that takes them from both topics."""
    shared = "shared_requests: whoever may write notify.requests may send and cancel as this tenant"
    return [
        f"tenant {name}: {shared if tenant.shared_requests else _own_topic(name)}"
        for name, tenant in tenants.items()
        if len(tenants) > 1 or not tenant.shared_requests
    ]


def _own_topic(name: str) -> str:
    return f"requests are taken from notify.requests.{name} only; from notify.requests with shared_requests = true"


def taken_for(tenants: Mapping[str, Tenant]) -> str:
    """Whose requests the workers take from it, in words."""
    names = [name for name, tenant in tenants.items() if tenant.shared_requests]
    return ", ".join(names) or "no tenant (shared_requests)"
