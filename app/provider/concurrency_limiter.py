"""The gate to one account at Twilio: so many requests at once as it allows, its tenants in turn.

Tenants may share an account, whose limit they share then; one with a thousand calls waiting holds up another by one.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from types import TracebackType

from app import telemetry
from app.provider.concurrency_limit import ConcurrencyLimit

log = telemetry.logger(__name__)


class ConcurrencyLimiter:
    """`line` is where one tenant waits; `begin` and `answered` tell what came of requests."""

    def __init__(self, most: int) -> None:
        self._allowed, self.inside = ConcurrencyLimit(most), 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @property
    def limit(self) -> int:
        """Requests at once, now."""
        return self._allowed.limit

    def line(self, tenant: str) -> "TenantQueue":
        """One tenant's way in."""
        return TenantQueue(self, tenant)

    def begin(self) -> int:
        """Count a request that leaves; returns the number that `answered` wants."""
        return self._allowed.begin()

    def answered(self, begun: int, status: int, headers: Mapping[str, str]) -> None:
        """Its answer came, with Twilio's headers; their names in lower case, if they are not found in any."""
        at_once = headers.get("twilio-concurrent-requests", "")
        concurrent = int(at_once) if at_once.isdecimal() and len(at_once) < 9 else None
        if self._allowed.answered(begun, throttled=status == 429, concurrent=concurrent):
            took = headers.get("twilio-request-duration", "")
            log.warning("twilio.throttled", limit=self.limit, concurrent=concurrent, request_s=_number(took))

    async def enter(self, tenant: str) -> None:
        """Wait for a place."""
        if not self._waiting and self.inside < self.limit:
            self.inside += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Free the place, and let in whom it allows."""
        self.inside -= 1
        while self.inside < self.limit and (place := self._next()) is not None:
            place.set_result(None)
            self.inside += 1

    def _next(self) -> "asyncio.Future[None] | None":
        """The first of the tenant whose turn it is, who goes to the end of the round."""
        while self._waiting:
            tenant = next(iter(self._waiting))
            line = self._waiting.pop(tenant)
            while line and line[0].done():  # gave up
                line.popleft()
            place = line.popleft() if line else None
            if line:
                self._waiting[tenant] = line
            if place is not None:
                return place
        return None


class TenantQueue:
    """One tenant's way through a gate: `async with`."""

    def __init__(self, gate: ConcurrencyLimiter, tenant: str) -> None:
        self.gate, self._tenant = gate, tenant

    def limit(self) -> int:
        """Requests at once that the account allows now."""
        return self.gate.limit

    async def __aenter__(self) -> None:
        await self.gate.enter(self._tenant)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.leave()


def _number(text: str) -> float | None:
    """Seconds, as Twilio writes them; None for anything else, which is not worth a line."""
    try:
        return round(float(text[:20]), 3)
    except ValueError:
        return None
