"""Turns are granted as far as calls can follow, and every lane of a tenant gets its share."""

from collections import Counter

import msgspec

from app.config.tenants import LaneConfig, Tenant
from app.domain.lanes.lane import MANY
from app.domain.model.inputs import PermitGranted
from app.records import lanes as wire
from app.records.seal import Sealer
from app.streams.agents.dead_letters import DeadLetters
from app.streams.agents.lanes import FAULT_MS, LanesAgent
from app.streams.engine.agent import Output
from app.streams.monitoring.stopped_lanes import StoppedLanes


class Granting:
    """A lanes agent whose tenants have unlimited lanes, and the turns it granted. `room`: by tenant, else endless."""

    def __init__(self, **lanes: int) -> None:
        lane = LaneConfig(from_number="+15005550006", rate=0)
        tenants = {
            name: Tenant(name=name, lanes={f"lane-{n}": lane for n in range(count)}) for name, count in lanes.items()
        }
        letters = DeadLetters("dead", Sealer({"k1": b"s" * 32}))
        self.agent, self.turns = (
            LanesAgent("lanes", "contacts", tenants, "11111111", letters, StoppedLanes()),
            list[PermitGranted](),
        )
        self.room: dict[str, int] = {}
        self.woken = 0
        self.agent.room = lambda tenant: self.room.get(tenant, MANY)
        self.agent.assigned(0, {"asks": iter(())})

    def emit(self, output: Output) -> None:
        self.turns.append(msgspec.json.decode(output.value or b"", type=PermitGranted))

    def ask(self, tenant: str, lane: int, count: int) -> None:
        for n in range(count):
            given = {"message_id": f"{tenant}-{lane}-{n}", "attempt": 1, "lane": f"lane-{lane}", "priority": "normal"}
            more = {"tenant": tenant, "segments": 1, "expires_ms": 1}
            self.agent._ask(0, msgspec.convert({"type": "lane.asked.v1", **given, **more}, wire.PermitRequested))

    def granted(self) -> dict[tuple[str, str], int]:
        """By tenant and lane, what a tick grants now."""
        self.turns.clear()
        self.agent.tick(0, self)  # type: ignore[arg-type] # all that is used
        return dict(Counter((turn.tenant, turn.lane) for turn in self.turns))


async def test_a_tenant_whose_calls_wait_gets_no_more_turns_than_they_leave_room_for_and_the_others_all_of_theirs():
    made = Granting(acme=1, beta=1)
    made.room = {"acme": 7}
    made.ask("acme", 0, 50)
    made.ask("beta", 0, 50)
    assert made.granted() == {("acme", "lane-0"): 7, ("beta", "lane-0"): 50}
    assert made.granted() == {}
    made.room = {"acme": 12}
    assert made.granted() == {("acme", "lane-0"): 5}


async def test_no_lane_takes_the_room_of_the_tenants_other_lanes_that_have_asks():
    made = Granting(acme=3)
    made.room = {"acme": 10}
    made.ask("acme", 0, 50)
    made.ask("acme", 2, 4)
    assert made.granted() == {("acme", "lane-0"): 5, ("acme", "lane-2"): 4}


async def test_where_no_room_is_left_nothing_is_granted_and_where_some_is_every_lane_gets_a_turn():
    made = Granting(acme=3)
    for lane in range(3):
        made.ask("acme", lane, 2)
    made.room = {"acme": 0}
    assert made.granted() == {}
    made.room = {"acme": 1}
    assert sum(made.granted().values()) == 3


async def test_a_lane_that_raises_stops_no_other_and_is_tried_again_after_a_while(monkeypatch):
    now = [1_000]
    monkeypatch.setattr("app.clock.boot_ms", lambda: now[0])
    made = Granting(acme=1, beta=2)
    for tenant, lane in (("acme", 0), ("beta", 0), ("beta", 1)):
        made.ask(tenant, lane, 3)
    with monkeypatch.context() as broken:
        broken.setattr(made.agent._lanes[0]["acme", "lane-0"], "grants", lambda *given: 1 / 0)
        assert made.granted() == {("beta", "lane-0"): 3, ("beta", "lane-1"): 3}
    now[0] += FAULT_MS - 1
    assert ("acme", "lane-0") not in made.granted()
    now[0] += 1
    assert made.granted()["acme", "lane-0"] == 3
    assert made.agent._faults.counts["lane"] == 1
