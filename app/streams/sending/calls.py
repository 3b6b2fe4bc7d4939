"""Calls: from a durable claim to Twilio's answer on the contact's log.

A claim may start its call within `claim_ttl` of its turn being logged (boot clock, so a pause cannot stretch it),
while this worker holds the lease, and never once it has folded a STOP of that contact. The last look is when the
connection is in hand. A call that may not start is *abandoned* and says so on the log. An answer is fsynced to the
journal before it is sent, and sent from there at the next start if this process dies first. A message whose seal or
lane is gone was not sent: a fault of set-up, it waits as one. A call that raises is a fault of ours: it is told loudly
and concerns its message alone, which waits like one without a connection, or is in doubt if the call may have left.
Only a disk that keeps no answer ends the process.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn, Protocol

import msgspec

from app import clock, telemetry
from app.domain.lanes.lane import MANY
from app.domain.model.inputs import CreateReturned
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, ErrorClass, LineType
from app.domain.rules.line_type import UNTEXTABLE
from app.provider.concurrency_limiter import TenantQueue
from app.provider.error_enrichment import About, stamp
from app.provider.provider_api import (
    CreateAccepted,
    CreateNotSent,
    CreateRejected,
    CreateRequest,
    CreateUnknown,
    Provider,
    Result,
)
from app.records.seal import UnsealError
from app.streams.engine import failpoints
from app.streams.sending.permit_limiter import PermitLimiter

log = telemetry.logger(__name__)


class LeaseHolder(Protocol):
    """The lease, as far as a call needs it."""

    def may_act(self) -> bool:
        """Whether nobody else can own our partitions yet."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Claim:
    """One attempt to start. `compose` opens the seal and yields the create call, or why there is none; `claimed_s`:
    boot time in s, at or before its turn was put on the log (-inf: not known); `look_up`: ask for the line type first;
    `invalid_after`: the tenant's, by code."""

    tenant: str
    contact_id: str
    message_id: str
    attempt: int
    partition: int
    claimed_s: float
    compose: Callable[[], CreateRequest | CreateRejected | CreateNotSent]
    look_up: bool = False
    invalid_after: Mapping[str, int] = field(default_factory=dict)
    line_type: LineType | None = None
    withdrawn: str = ""
    started_ms: int = 0


class CallRunner:
    """Starts calls, each through its tenant's line to Twilio, and hands each answer to `put` (journal first, then the
    log). `now`: boot s; `lookups`: how often Lookup was asked, by tenant and what it said."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        lines: Mapping[str, TenantQueue],
        put: Callable[[int, CreateReturned], Awaitable[None]],
        lease: LeaseHolder,
        fail: Callable[[str], NoReturn],
        *,
        pk: str,
        claim_ttl_s: float,
        lookups: Counter[tuple[str, str]] | None = None,
        faults: Counter[str] | None = None,
        now: Callable[[], float] = clock.boot_s,
    ) -> None:
        self._now = now
        self._providers, self._put, self._lease, self._fail = providers, put, lease, fail
        self._pk, self._ttl = pk, claim_ttl_s
        self._lines = lines
        self._paces = {tenant: PermitLimiter(claim_ttl_s, line.limit) for tenant, line in lines.items()}
        self._open: dict[str, set[Claim]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = ""
        self._lookups = Counter[tuple[str, str]]() if lookups is None else lookups
        self._faults = Counter[str]() if faults is None else faults

    def room(self, tenant: str) -> int:
        """How many more turns of the tenant would find a call in time: for who grants them."""
        return self._paces[tenant].room() if tenant in self._paces else MANY

    @property
    def in_flight(self) -> int:
        """Claims whose answer is not on the log yet."""
        return len(self._tasks)

    def start(self, claim: Claim) -> None:
        """Begin the call of a claim that is durable."""
        self._open.setdefault(claim.contact_id, set()).add(claim)
        task = asyncio.get_running_loop().create_task(self._run(claim), name=f"call {claim.message_id}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, claim.tenant))

    def stop_contact(self, contact_id: str) -> None:
        """A STOP was folded: calls of this contact that have not left yet will not leave."""
        for claim in self._open.get(contact_id, ()):
            claim.withdrawn = "opted_out"

    async def close(self) -> None:
        """Let no further call leave; wait for the open ones and for their answers to be on the log."""
        self._closing = "worker_stopping"
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _ended(self, tenant: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, OSError):
            self._fail(f"an answer cannot be kept: {type(error).__name__}")
        # Without an answer the attempt comes to be in doubt.
        log.error("call.unanswered", fault=type(error).__name__, frames=telemetry.frames_of(error))
        self._faults[tenant] += 1

    async def _run(self, claim: Claim) -> None:
        try:
            await self._put(claim.partition, self._answered(claim, await self._bounded(claim)))
        finally:
            siblings = self._open[claim.contact_id]
            siblings.discard(claim)
            if not siblings:
                del self._open[claim.contact_id]

    async def _bounded(self, claim: Claim) -> Result:
        if claim.tenant not in self._lines:
            return CreateNotSent(why="unknown_tenant")
        pace = self._paces[claim.tenant]
        pace.claimed(min(self._ttl, self._now() - claim.claimed_s))
        try:
            async with self._lines[claim.tenant]:
                return await self._call(claim, pace)
        except Exception as fault:  # noqa: BLE001 - a fault of ours over one message must not crash-loop the worker
            return self._faulted(claim, fault)
        finally:
            pace.ended()

    def _faulted(self, claim: Claim, fault: Exception) -> Result:
        """Proved not sent, and tried again later, perhaps by a build that is mended; in doubt once it may have left."""
        kind = type(fault).__name__
        log.error("call.faulted", message=claim.message_id, fault=kind, frames=telemetry.frames_of(fault))
        self._faults[claim.tenant] += 1
        if claim.started_ms:
            return CreateUnknown(why=f"fault of ours: {kind}")
        return CreateRejected(code=None, error=ErrorClass.TRANSIENT, http_status=0)

    async def _call(self, claim: Claim, pace: PermitLimiter) -> Result:
        if why := self._refusal(claim):
            return CreateNotSent(why=why)
        try:
            call = claim.compose()
        except (UnsealError, KeyError) as fault:
            log.error("call.impossible", message=claim.message_id, fault=type(fault).__name__)
            return CreateRejected(code=None, error=ErrorClass.CONFIGURATION, http_status=0)
        if not isinstance(call, CreateRequest):
            return call
        if claim.look_up and await self._untextable(claim, call.to):
            return _stamped(CreateRejected(code=None, error=ErrorClass.NUMBER_INVALID, http_status=0), call, claim)
        began_s = self._now()
        result = await self._providers[claim.tenant].create(call, lambda: self._last_check(claim))
        if not isinstance(result, CreateNotSent):
            pace.called(self._now() - began_s)
        return _stamped(result, call, claim) if isinstance(result, CreateRejected) else result

    async def _untextable(self, claim: Claim, number: str) -> bool:
        """By Twilio's Lookup; what it cannot tell is texted."""
        claim.line_type = await self._providers[claim.tenant].line_type(number)
        self._lookups[claim.tenant, str(claim.line_type or "failed")] += 1
        return claim.line_type in UNTEXTABLE

    def _last_check(self, claim: Claim) -> str | None:
        """Why the call must not leave now, or None: then it counts as started."""
        if why := self._refusal(claim):
            return why
        claim.started_ms = clock.now_ms()
        failpoints.reach("during_call")
        return None

    def _refusal(self, claim: Claim) -> str:
        if claim.withdrawn or self._closing:
            return claim.withdrawn or self._closing
        if self._now() - claim.claimed_s > self._ttl:
            return "claim_ttl"
        return "" if self._lease.may_act() else "lease"

    def _answered(self, claim: Claim, result: Result) -> CreateReturned:
        base = CreateReturned(
            id=clock.new_id(),
            tenant=claim.tenant,
            pk=self._pk,
            at=clock.now_ms(),
            message_id=claim.message_id,
            attempt=claim.attempt,
            started_ms=claim.started_ms,
            answer=CreateResult.OPEN,
            line_type=claim.line_type,
        )
        return msgspec.structs.replace(base, **_words(result))


def _stamped(refused: CreateRejected, call: CreateRequest, claim: Claim) -> CreateRejected:
    """With what the code means for this call."""
    about = About(clock.now_ms(), call.to, call.from_number, bool(call.media), claim.invalid_after)
    error, invalid_after, hold_until_ms = stamp(refused.code, refused.error, about)
    return msgspec.structs.replace(
        refused, error=error or refused.error, invalid_after=invalid_after, hold_until_ms=hold_until_ms
    )


def _words(result: Result) -> dict[str, object]:
    """The fields of `CreateReturned` that a result of the provider sets."""
    match result:
        case CreateAccepted(sid=sid, progress=progress, segments=segments):
            return {"answer": CreateResult.TAKEN, "sid": sid, "progress": progress, "segments": segments}
        case CreateRejected():
            return {"answer": CreateResult.REFUSED, "progress": DeliveryStatus.CLAIMED} | msgspec.structs.asdict(result)
        case CreateUnknown(why=why, http_status=status):
            return {
                "answer": CreateResult.DOUBTFUL,
                "why": why,
                "http_status": status,
                "progress": DeliveryStatus.CLAIMED,
            }
        case CreateNotSent(why=why):
            return {"answer": CreateResult.ABANDONED, "why": why, "progress": DeliveryStatus.CLAIMED}
