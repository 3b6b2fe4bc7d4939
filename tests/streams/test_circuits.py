"""The lanes agent: a stopped lane is a row, a gauge and a log line, is probed, and stays stopped for the next owner."""

import json
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from app import clock
from app.config.tenants import LaneConfig, Tenant
from app.domain.lanes.circuit_breaker import FIRST_HOLD_MS, UNDECIDED_MS
from app.domain.model.vocabulary import ErrorClass, Priority, Proof
from app.records import lanes as wire
from app.records.seal import Sealer
from app.streams.agents.dead_letters import DeadLetters
from app.streams.agents.lanes import ASKS, LanesAgent
from app.streams.engine.agent import Input, Output
from app.streams.monitoring.stopped_lanes import StoppedLanes

CONTACT = "0123456789abcdef0123"
STOP = wire.LaneThrottled(
    tenant="acme", lane="main", error=ErrorClass.CONFIGURATION, hold_ms=0, code=21606, begun_ms=2**52
)
PROVED = wire.ProbeSucceeded(tenant="acme", lane="main")


class Rows:
    """A scope: rows put, records emitted."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Any] = {}
        self.out: list[Output] = []

    def put(self, table: str, key: bytes, row: Any) -> None:
        assert table == ASKS
        self.rows[key] = row

    def drop(self, table: str, key: bytes) -> None:
        self.rows.pop(key, None)

    def emit(self, output: Output) -> None:
        self.out.append(output)


class Owner:
    """A worker that owns the tenant's lanes. `turns`: probe and message of every turn granted."""

    def __init__(self, rows: Rows | None = None, rate: float = 0) -> None:
        tenants = {"acme": Tenant(name="acme", lanes={"main": LaneConfig(from_number="+15005550006", rate=rate)})}
        self.circuits, self.rows = StoppedLanes(), rows or Rows()
        letters = DeadLetters("dead", Sealer({"k1": b"s" * 32}))
        self.agent = LanesAgent("lanes", "contacts", tenants, "11111111", letters, self.circuits)
        decode = self.agent.tables[0].decode
        kept = [(key, decode(msgspec.json.encode(row))) for key, row in self.rows.rows.items()]
        self.agent.assigned(0, {ASKS: kept})

    def fold(self, *records: msgspec.Struct) -> "Owner":
        for record in records:
            raw = msgspec.json.encode(record)
            self.agent.fold(Input("lanes", 0, 0, clock.now_ms(), b"acme", raw, []), self.rows)  # type: ignore[arg-type]
        return self

    def tick(self) -> list[str]:
        self.rows.out = []
        self.agent.tick(0, self.rows)  # type: ignore[arg-type]
        self.agent._alarm(0, None)
        return [json.loads(output.value or b"").get("probe", "") for output in self.rows.out]

    def later(self, ms: int) -> "Owner":
        """The time of the next probe is so much nearer."""
        lane = self.circuits.lanes[0]["acme", "main"]
        assert lane.circuit is not None
        lane.circuit.until_ms -= ms
        return self

    def gauge(self) -> list[float]:
        return [sample.value for family in self.circuits.collect() for sample in family.samples]


def asked(n: int) -> wire.PermitRequested:
    given = {"tenant": "acme", "attempt": 1, "lane": "main", "priority": Priority.NORMAL, "segments": 1}
    return wire.PermitRequested(message_id=f"{CONTACT}-{n:020x}", expires_ms=2**52, **given)


async def test_a_stopped_lane_grants_one_probe_after_a_while_and_goes_on_once_it_is_proved() -> None:
    owner = Owner().fold(asked(1), asked(2), asked(3), STOP)
    assert owner.tick() == [] and owner.gauge() == [1.0]
    assert owner.later(FIRST_HOLD_MS).tick() == ["taken"] and owner.tick() == []
    owner.fold(PROVED)
    assert owner.tick() == ["", ""] and owner.gauge() == [0.0]


async def test_a_probe_that_told_nothing_is_followed_by_another_within_seconds() -> None:
    owner = Owner().fold(asked(1), asked(2), asked(3), STOP).later(FIRST_HOLD_MS)
    assert owner.tick() == ["taken"]
    told = wire.LaneThrottled(tenant="acme", lane="main", error=ErrorClass.TRANSIENT, hold_ms=0, probe=True)
    assert owner.fold(told).tick() == [] and owner.later(UNDECIDED_MS).tick() == ["taken"]


async def test_the_next_owner_finds_the_lane_stopped_and_a_proved_one_going() -> None:
    rows = Rows()
    Owner(rows).fold(asked(1), STOP, msgspec.structs.replace(STOP, proof=Proof.SENT, code=30034))
    heir = Owner(rows)
    assert heir.tick() == [] and heir.gauge() == [1.0]
    assert heir.later(FIRST_HOLD_MS).tick() == ["sent"]
    heir.fold(PROVED)
    assert Owner(rows).gauge() == [0.0] and Owner(rows).tick() == [""]


async def test_the_operator_is_told_once_when_it_stops_and_when_it_goes() -> None:
    with capture_logs() as lines:
        Owner().fold(asked(1), STOP, STOP, PROVED, PROVED)
    assert [(line["event"], line["lane"]) for line in lines] == [("lane.stopped", "main"), ("lane.going", "main")]


async def test_a_throttled_lane_is_not_stopped() -> None:
    slow = wire.LaneThrottled(tenant="acme", lane="main", error=ErrorClass.THROTTLED, hold_ms=1000)
    assert Owner().fold(asked(1), slow).gauge() == [0.0]


# A broker whose clock is an hour ahead of ours, or behind it, neither silences a throttled lane nor spares it the hold.
@pytest.mark.parametrize("skew_ms", [-3_600_000, 0, 3_600_000])
async def test_a_throttled_lane_is_held_by_our_own_clock(skew_ms: int) -> None:
    slow = wire.LaneThrottled(tenant="acme", lane="main", error=ErrorClass.THROTTLED, hold_ms=60_000)
    owner, now_ms = Owner().fold(asked(1)), clock.boot_ms()
    raw = msgspec.json.encode(slow)
    at_ms = clock.now_ms() + skew_ms
    owner.agent.fold(Input("lanes", 0, 0, at_ms, b"acme", raw, []), owner.rows)  # type: ignore[arg-type]
    lane = owner.circuits.lanes[0]["acme", "main"]
    assert not list(lane.grants(now_ms + 59_000)) and len(list(lane.grants(now_ms + 120_000))) == 1


async def test_a_former_owner_whose_clock_was_ahead_does_not_keep_the_next_probe_back() -> None:
    rows = Rows()
    Owner(rows).fold(asked(1), STOP)
    [(key, row)] = [(key, row) for key, row in rows.rows.items() if isinstance(row, wire.StoppedLane)]
    rows.rows[key] = msgspec.structs.replace(row, until_ms=row.until_ms + 86_400_000)
    assert Owner(rows).tick() == [] and Owner(rows).later(FIRST_HOLD_MS).tick() == ["taken"]


class Clocks:
    """Of one machine: `step` sets the wall clock, `wait` lets time pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, boot_s: float = 9000.0) -> None:
        self.boot_s, self.wall_ms = boot_s, 1_800_000_000_000
        monkeypatch.setattr(clock, "boot_s", lambda: self.boot_s)
        monkeypatch.setattr(clock, "now_ms", lambda: self.wall_ms)

    def step(self, hours: float) -> None:
        self.wall_ms += int(hours * 3_600_000)

    def wait(self, ms: int) -> None:
        self.boot_s, self.wall_ms = self.boot_s + ms / 1000, self.wall_ms + ms


@pytest.mark.parametrize("hours", [-1.0, 0.0, 1.0])
async def test_a_step_of_the_wall_clock_neither_silences_a_lane_nor_lets_it_send_above_the_rate(
    hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks(monkeypatch)
    owner = Owner(rate=1).fold(*(asked(n) for n in range(20)))
    clocks.wait(1000)
    assert len(owner.tick()) == 1
    clocks.step(hours)
    sent = []
    for _ in range(5):
        lane = owner.circuits.lanes[0]["acme", "main"]
        for key in tuple(lane._granted):
            lane.answered(key)
        assert owner.tick() == [], "the step brought no tokens"
        clocks.wait(1000)
        sent.append(len(owner.tick()))
    assert sent == [1] * 5


@pytest.mark.parametrize("hours", [-1.0, 1.0])
async def test_a_step_of_the_wall_clock_moves_neither_a_hold_nor_a_probe(
    hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks(monkeypatch)
    held = wire.LaneThrottled(tenant="acme", lane="main", error=ErrorClass.THROTTLED, hold_ms=60_000)
    throttled, stopped = Owner().fold(asked(1), held), Owner().fold(asked(1), STOP)
    clocks.step(hours)
    clocks.wait(FIRST_HOLD_MS - 1)
    assert throttled.tick() == stopped.tick() == []
    clocks.wait(1)
    assert (throttled.tick(), stopped.tick()) == ([""], ["taken"])


@pytest.mark.parametrize("boot_s", [5.0, 9_000_000.0])
@pytest.mark.parametrize("hours", [-1.0, 0.0, 1.0])
async def test_the_next_owner_on_a_machine_of_another_boot_time_probes_within_the_pause(
    boot_s: float, hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows()
    clocks = Clocks(monkeypatch)
    Owner(rows).fold(asked(1), STOP)
    since_ms = clocks.wall_ms
    clocks.wait(20_000)
    clocks.boot_s = boot_s
    clocks.step(hours)
    heir = Owner(rows)
    assert heir.circuits.lanes[0]["acme", "main"].circuit is not None
    waited = FIRST_HOLD_MS if hours < 0 else FIRST_HOLD_MS - 20_000 if not hours else 0
    if waited:
        clocks.wait(waited - 1)
        assert heir.tick() == []
        clocks.wait(1)
    assert heir.tick() == ["taken"]
    assert [row.since_ms for row in rows.rows.values() if isinstance(row, wire.StoppedLane)] == [since_ms]


async def test_a_late_refusal_is_told_from_a_new_one_by_the_time_of_the_log_and_not_by_our_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clocks = Clocks(monkeypatch, boot_s=5.0)
    owner = Owner().fold(asked(1), STOP, PROVED)
    owner.fold(msgspec.structs.replace(STOP, begun_ms=clocks.wall_ms - 1))
    assert owner.gauge() == [0.0], "of an attempt from before it was mended"
    owner.fold(msgspec.structs.replace(STOP, begun_ms=clocks.wall_ms + 1))
    assert owner.gauge() == [1.0]
