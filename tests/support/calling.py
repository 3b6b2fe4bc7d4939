"""Calls without a network: a provider whose connections come when told, a clock moved by hand, a lease that can go."""

import asyncio
from collections import Counter
from typing import Any

from app.domain.model.inputs import CreateReturned
from app.domain.model.vocabulary import DeliveryStatus, LineType
from app.provider.concurrency_limiter import ConcurrencyLimiter
from app.provider.provider_api import CreateAccepted, CreateNotSent, CreateRequest, LastCheck, Result
from app.streams.sending.calls import CallRunner, Claim

CREATE = CreateRequest(
    to="+14155550123", body="x", media=(), status_callback="", messaging_service_sid="", from_number="", validity_s=1
)


class Wire:
    """A provider. A call waits for `connected`, asks the last check, has left, waits for `answered`, gives `result`.
    `early`, `late`: what it raises before it has left, or in place of the result."""

    def __init__(self) -> None:
        self.connected, self.answered = asyncio.Event(), asyncio.Event()
        self.result: Result = CreateAccepted(sid="SM1", progress=DeliveryStatus.QUEUED, segments=2)
        self.count: Counter[str] = Counter()
        self.most = 0
        self.said: LineType | None = None
        self.early: Exception | None = None
        self.late: Exception | None = None

    async def line_type(self, _number: str) -> LineType | None:
        return self.said

    async def create(self, _call: CreateRequest, last_check: LastCheck) -> Result:
        self.count["open"] += 1
        self.most = max(self.most, self.count["open"])
        try:
            await self.connected.wait()
            if self.early is not None:
                raise self.early
            if why := last_check():
                return CreateNotSent(why=why)
            self.count["left"] += 1
            await self.answered.wait()
            if self.late is not None:
                raise self.late
            return self.result
        finally:
            self.count["open"] -= 1

    async def close(self) -> None:
        return None


class Exchange:
    """`Calls` over wires, by tenant. `told`: answers put, in order; `failed`: why the process would have ended."""

    def __init__(self, *tenants: str, concurrency: int = 20) -> None:
        self.wires = {name: Wire() for name in tenants or ("acme",)}
        self.boot_s, self.leased, self.put_fault = 1000.0, True, ""
        self.told: list[CreateReturned] = []
        self.lookups: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[str] = Counter()
        self.failed: list[str] = []
        self.gates = {name: ConcurrencyLimiter(concurrency) for name in self.wires}
        lines = {name: gate.line(name) for name, gate in self.gates.items()}
        self.calls = CallRunner(self.wires, lines, self._put, self, self.failed.append, pk="11111111", claim_ttl_s=5.0,
                           lookups=self.lookups, faults=self.faults,
                           now=lambda: self.boot_s)  # type: ignore[arg-type] # fmt: skip

    @property
    def wire(self) -> Wire:
        return self.wires["acme"]

    @property
    def words(self) -> list[tuple[str, str]]:
        """Answer and reason of all that was told."""
        return [(answered.answer.value, answered.why) for answered in self.told]

    def may_act(self) -> bool:
        return self.leased

    async def _put(self, _partition: int, answered: CreateReturned) -> None:
        if self.put_fault:
            raise OSError(self.put_fault)
        self.told.append(answered)

    async def start(self, number: int = 1, tenant: str = "acme", **given: Any) -> Claim:
        """A claim folded now, its call begun as far as it goes."""
        named = {
            "tenant": tenant,
            "contact_id": f"c{number}",
            "message_id": f"c{number}-m",
            "attempt": 1,
            "partition": 0,
        }
        claim = Claim(**{**named, "claimed_s": self.boot_s, "compose": lambda: CREATE, **given})
        self.calls.start(claim)
        await settled()
        return claim

    async def connect(self) -> None:
        for wire in self.wires.values():
            wire.connected.set()
        await settled()

    async def answer(self) -> None:
        for wire in self.wires.values():
            wire.answered.set()
        await self.connect()


async def settled() -> None:
    """Every task has gone as far as it can: none of these needs more turns of the loop than this."""
    for _ in range(20):
        await asyncio.sleep(0)
