"""Agent `lanes`: owns every lane of its tenants, grants turns back onto the contact's log.

Rows (table `asks`) are waiting asks: a grant writes no row; the ask goes when the contact answers. Beside them stand
the lanes that are stopped, and how far each tenant's inbound texts were looked for. Buckets live in memory and start
empty, so a restart never sends above the rate. The clock drives grants through `Engine.wake`.

Lanes go by the boot clock: a step of the wall clock must neither silence them nor let them send above the rate. Boot
clocks differ by machine and boot, so no record or row holds such a time: rows hold wall time (see `stopped_lanes`), and
what is compared with a time of the contact's log is the time of this topic's log.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from app import clock
from app.config.tenants import Tenant
from app.domain.lanes.lane import MANY, Lane
from app.domain.model.effects import PermitRequest
from app.domain.model.inputs import PermitGranted
from app.domain.model.vocabulary import ErrorClass, Proof
from app.records import lanes as wire
from app.records.codec import InvalidFieldError as BadRecord
from app.records.codec import decode
from app.streams.agents.dead_letters import DeadLetters
from app.streams.engine.agent import FoldScope, Input, Output, TableSpec, UnreadableRecordError
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.monitoring.stopped_lanes import StoppedLanes, circuit_of, row_key, row_of, tell_going, tell_stopped

ASKS = "asks"
_encode = msgspec.json.Encoder().encode
_spec = TableSpec(
    ASKS, msgspec.json.Decoder(wire.PermitRequested | wire.InboundPolled | wire.StoppedLane).decode, _encode
)

LaneKey = tuple[str, str]
# How long a lane rests that raised a fault of ours.
FAULT_MS = 60_000


class LanesAgent:
    """`wake` asks the engine for a cycle of one partition; `looked`: by tenant, ms since the epoch;
    `room`: how many more turns of a tenant would find a call in time, as far as this worker's own calls tell."""

    name = "lanes"
    rest_s = 0.0
    background = False
    tables: Sequence[TableSpec[Any]] = (_spec,)

    def __init__(
        self,
        topic: str,
        contacts: str,
        tenants: Mapping[str, Tenant],
        pk: str,
        dead_letters: DeadLetters,
        circuits: StoppedLanes,
        faults: ContainedFaults | None = None,
    ) -> None:
        self.topic, self._contacts, self._tenants, self._pk = topic, contacts, tenants, pk
        self.dead_letter = dead_letters
        self.wake: Callable[[int], None] = lambda partition: None
        self.room: Callable[[str], int] = lambda tenant: MANY
        self._lanes, self._probe_after_ms = circuits.lanes, circuits.probe_after_ms
        self.looked: dict[str, int] = {}
        self._alarms: dict[int, asyncio.TimerHandle] = {}
        self._faults = faults or ContainedFaults()
        # Lanes whose last turn raised, and when they are tried again, ms of the boot clock.
        self._faulted: dict[LaneKey, int] = {}

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        """Rows are written, never read: what waits is in memory."""
        return ()

    def fold(self, record: Input, scope: FoldScope) -> None:
        """An ask waits, an answer ends it, a slow-down holds the lane or stops it, a probe sets it going."""
        try:
            parsed: wire.LaneRecord = decode(wire.decoder, record.value)
        except BadRecord as bad:
            raise UnreadableRecordError(bad.field, bad.rule) from None
        match parsed:
            case wire.PermitRequested():
                scope.put(ASKS, _row_key(parsed.message_id, parsed.attempt), parsed)
                self._ask(record.partition, parsed)
            case wire.PermitSettled():
                scope.drop(ASKS, _row_key(parsed.message_id, parsed.attempt))
                lane = self._lane(record.partition, parsed.tenant, parsed.lane)
                lane.answered((parsed.message_id, parsed.attempt))
            case wire.LaneThrottled():
                self._slow(record, parsed, scope)
            case wire.ProbeSucceeded(tenant=tenant, lane=name):
                scope.drop(ASKS, row_key(tenant, name))
                lane = self._lane(record.partition, tenant, name)
                if lane.proved(record.at_ms):
                    tell_going(tenant, name, len(lane))
            case wire.InboundPolled(tenant=tenant, until_ms=until):
                scope.put(ASKS, f"looked.{tenant}".encode(), parsed)
                self.looked[tenant] = until

    def _slow(self, record: Input, slowed: wire.LaneThrottled, scope: FoldScope) -> None:
        lane, now = self._lane(record.partition, slowed.tenant, slowed.lane), clock.boot_ms()
        if slowed.error is not ErrorClass.CONFIGURATION:
            # From when it is read, by the clock that the lane goes by.
            lane.hold(now + slowed.hold_ms)
            if slowed.probe:
                lane.undecided(now)
            return
        began = lane.refused(now, slowed.proof, slowed.code, begun_ms=slowed.begun_ms, probe=slowed.probe)
        if lane.circuit is None:
            return
        scope.put(ASKS, row_key(slowed.tenant, slowed.lane), row_of(slowed.tenant, slowed.lane, lane.circuit, _wall()))
        if began:
            tell_stopped(slowed.tenant, slowed.lane, lane.circuit, len(lane))

    def _ask(self, partition: int, asked: wire.PermitRequested) -> None:
        ask = PermitRequest(
            message_id=asked.message_id,
            attempt=asked.attempt,
            lane=asked.lane,
            priority=asked.priority,
            segments=asked.segments,
            expires_ms=asked.expires_ms,
        )
        self._lane(partition, asked.tenant, asked.lane).ask(ask)

    def _lane(self, partition: int, tenant: str, name: str) -> Lane:
        known = self._lanes.setdefault(partition, {})
        if (tenant, name) not in known:
            known[tenant, name] = self._build(tenant, name)
        return known[tenant, name]

    def _build(self, tenant: str, name: str) -> Lane:
        """A lane that left the tenants file holds its asks until they expire or it is back."""
        now, owner = clock.boot_ms(), self._tenants.get(tenant)
        config = owner.lanes.get(name) if owner else None
        rate, room = (config.rate, config.room) if config else (1.0, 1.0)
        lane = Lane(rate, room, now, self._probe_after_ms)
        if config is None:
            lane.hold(1 << 62)
        return lane

    def set_aside(self, record: Input, scope: FoldScope) -> None:
        """The dead letter is out; no replay reads this topic."""

    def frozen(self, record: Input, scope: FoldScope, error: Exception) -> None:
        """The dead letter is out; the contact's own deadline ends the message."""

    def tick(self, partition: int, scope: FoldScope) -> None:
        """Grant what may go now, and set the alarm for what may go next."""
        now, lanes = clock.boot_ms(), self._lanes.get(partition, {})
        busy = Counter(tenant for (tenant, _), lane in lanes.items() if len(lane))
        nexts = [
            self._contained(key, lane, self._share(key[0], busy[key[0]]), now, scope) for key, lane in lanes.items()
        ]
        after_ms = min((at - now for at in nexts if at is not None), default=None)
        self._alarm(partition, None if after_ms is None else max(0, after_ms) / 1000)

    def _contained(self, key: LaneKey, lane: Lane, most: int, now: int, scope: FoldScope) -> int | None:
        """Grant what one lane may, and when it is to be looked at next. A fault stops this lane for a while and no
        other; its messages end at their deadlines."""
        if (at := self._faulted.get(key, now)) > now:
            return at
        try:
            self._grant(key, lane, most, now, scope)
            at_next = lane.next_at(now, most)
        except Exception as error:  # noqa: BLE001 - one lane must not stop those of others
            self._faults.note("lane", error, tenant=key[0], lane=key[1])
            at_next = self._faulted[key] = now + FAULT_MS
        return at_next

    def _grant(self, key: LaneKey, lane: Lane, most: int, now: int, scope: FoldScope) -> None:
        for ask in lane.grants(now, most):
            scope.emit(self._turn(*key, ask, lane.circuit.proof if lane.circuit else None))

    def _share(self, tenant: str, busy: int) -> int:
        """Of the tenant's room, for one of its lanes that have asks: none may keep the others from their calls."""
        room = self.room(tenant)
        return max(1, room // max(1, busy)) if room > 0 else 0

    def _turn(self, tenant: str, lane: str, ask: PermitRequest, probe: Proof | None) -> Output:
        now = clock.now_ms()
        turn = PermitGranted(
            id=f"{ask.message_id}.{ask.attempt}@{now}",
            tenant=tenant,
            pk=self._pk,
            at=now,
            message_id=ask.message_id,
            attempt=ask.attempt,
            lane=lane,
            probe=probe,
        )
        return Output(self._contacts, ask.message_id.partition("-")[0].encode(), _encode(turn))

    def _alarm(self, partition: int, after_s: float | None) -> None:
        if (old := self._alarms.pop(partition, None)) is not None:
            old.cancel()
        if after_s is not None:
            # A lane that is gone is held for ever; a day is as good and does not overflow the loop's clock.
            loop = asyncio.get_running_loop()
            self._alarms[partition] = loop.call_later(min(after_s, 86_400), self.wake, partition)

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any | None]]) -> None:
        """Grants are outputs: nothing is left to start."""

    def assigned(self, partition: int, rows: Mapping[str, Iterable[tuple[bytes, Any]]]) -> None:
        """Every waiting ask waits again, in the order of its deadline and id: the rows keep no other."""
        self._lanes[partition] = {}
        asks = []
        for key, row in rows[ASKS]:
            if isinstance(row, wire.InboundPolled):
                self.looked[row.tenant] = row.until_ms
            elif isinstance(row, wire.StoppedLane):
                lane = self._lane(partition, row.tenant, row.lane)
                lane.circuit = circuit_of(row, self._probe_after_ms, _wall(), clock.boot_ms())
                tell_stopped(row.tenant, row.lane, lane.circuit, len(lane))
            else:
                asks.append((row.expires_ms, key, row))
        for _, _, asked in sorted(asks):
            self._ask(partition, asked)
        if self._lanes[partition]:
            self._alarm(partition, 0.0)

    def revoked(self, partition: int) -> None:
        """Another worker owns these tenants now."""
        self._lanes.pop(partition, None)
        self._alarm(partition, None)


def _wall() -> int:
    """Where the wall clock stands above the boot clock now, ms."""
    return clock.now_ms() - clock.boot_ms()


def _row_key(message_id: str, attempt: int) -> bytes:
    return f"{message_id}.{attempt}".encode()
