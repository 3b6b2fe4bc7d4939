"""Who may use a route of `/v1`: address limit, key, key limit, scope, in this order. Every route declares its scope."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from starlette.requests import Request

from app import clock
from app.config.api_keys import ApiKey, ApiKeys, Scope
from app.config.tenants import Tenant
from app.ingress.v1.problems import ProblemError
from app.ingress.v1.rate_limits import RateLimiter, client_name, retry_after

Action = Callable[[Request, Tenant], Awaitable[tuple[int, dict[str, Any]]]]


class Endpoint(NamedTuple):
    """One route. `name`: by which its answers are counted; `scope`: that a key must have; `action`: status and content
    for the tenant of the key."""

    name: str
    method: str
    path: str
    scope: Scope
    action: Action


class Access:
    """`key_rate` and `address_rate` in requests a second, 0 for no limit; each process counts for itself.

    The address is limited before the key is looked up, so that attempts without a key count too.
    """

    def __init__(
        self, tenants: Mapping[str, Tenant], keys: ApiKeys, key_rate: float = 0.0, address_rate: float = 0.0
    ) -> None:
        self._by_key, self._by_address = RateLimiter(key_rate), RateLimiter(address_rate)
        self.take(tenants, keys)

    def take(self, tenants: Mapping[str, Tenant], keys: ApiKeys) -> None:
        """These tenants and keys from the next request on."""
        self._tenants = tenants
        self.take_keys(keys)

    def take_keys(self, keys: ApiKeys) -> None:
        """These keys from the next request on; tenants stay."""
        self._keys = keys

    def admit(self, request: Request, scope: Scope) -> Tenant:
        """The tenant of the key. Raises ProblemError: 401, 403, 429, or 503 for one that is not known here yet."""
        now_s = clock.boot_s()
        host = request.client.host if request.client is not None else ""
        _limit(self._by_address.take(client_name(host), now_s), "this address")
        key = self._key(request)
        _limit(self._by_key.take(key.key_id, now_s), "this key")
        if scope not in key.scopes:
            raise ProblemError(403, "the key must not do this", "Authorization", f"needs a key with scope {scope}")
        if (tenant := self._tenants.get(key.tenant)) is None:
            raise ProblemError(503, "this tenant is new: the ingress takes its requests after a restart")
        return tenant

    def _key(self, request: Request) -> ApiKey:
        scheme, _, presented = request.headers.get("authorization", "").partition(" ")
        found = self._keys.find(presented) if scheme.lower() == "bearer" else None
        if found is None:
            raise ProblemError(401, "a bearer key of a tenant is required")
        if refusal := found.refusal(clock.now_ms()):
            raise ProblemError(401, refusal)
        return found


def _limit(wait_s: float, whose: str) -> None:
    if wait_s:
        raise ProblemError(429, f"too many requests of {whose}", headers={"Retry-After": retry_after(wait_s)})
