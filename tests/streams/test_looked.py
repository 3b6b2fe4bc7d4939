"""How far texts that came in were looked for: kept beside the asks, known again after a restart."""

from typing import Any

import msgspec
import pytest

from app.config.tenants import LaneConfig, Tenant
from app.records import lanes as wire
from app.records.seal import Sealer
from app.streams.agents.dead_letters import DeadLetters
from app.streams.agents.lanes import ASKS, LanesAgent
from app.streams.engine.agent import Input
from app.streams.monitoring.stopped_lanes import StoppedLanes
from app.streams.reconcile.reconciler import look_is_due
from tests.support.simulated import eventually


class Rows:
    """The scope of a cycle, as far as it is used here."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Any] = {}

    def put(self, _table: str, key: bytes, row: Any) -> None:
        self.rows[key] = row


def agent() -> LanesAgent:
    tenants = {"acme": Tenant(name="acme", lanes={"main": LaneConfig(from_number="+15005550006")})}
    letters = DeadLetters("dead", Sealer({"k1": b"s" * 32}))
    return LanesAgent("lanes", "contacts", tenants, "11111111", letters, StoppedLanes())


def stored(rows: Rows) -> list[tuple[bytes, Any]]:
    """As the table gives them back."""
    spec = LanesAgent.tables[0]
    return [(key, spec.decode(spec.encode(row))) for key, row in rows.rows.items()]


async def test_a_new_owner_of_the_tenants_lanes_looks_on_from_where_the_last_look_ended() -> None:
    first, rows = agent(), Rows()
    for until in (1000, 2000):
        value = wire.encode(wire.InboundPolled(tenant="acme", until_ms=until))
        first.fold(Input("lanes", 3, until, until, b"acme", value, []), rows)  # type: ignore[arg-type] # all that is used
    assert first.looked == {"acme": 2000}
    second = agent()
    second.assigned(3, {ASKS: iter(stored(rows))})
    assert second.looked == {"acme": 2000}


@pytest.mark.parametrize(
    ("looked_ms", "due"),
    [(None, True), (1_000_000, False), (999_999, False), (700_001, False), (700_000, True), (1_000_001, True)],
)
def test_a_look_is_due_after_its_interval_and_where_a_former_owners_clock_was_ahead(looked_ms, due) -> None:
    assert look_is_due(looked_ms, 1_000_000, 300.0) is due


async def test_beside_it_the_asks_wait_again() -> None:
    ask = {"message_id": "m-1", "attempt": 1, "lane": "main", "priority": "normal", "segments": 1, "expires_ms": 1}
    asked = msgspec.convert({"type": "lane.asked.v1", "tenant": "acme", **ask}, wire.PermitRequested)
    rows, owner, woken = Rows(), agent(), []
    owner.wake = woken.append
    rows.rows = {b"m-1.1": asked, b"looked.acme": wire.InboundPolled(tenant="acme", until_ms=5)}
    owner.assigned(3, {ASKS: iter(stored(rows))})
    assert owner.looked == {"acme": 5}
    await eventually(lambda: woken == [3])
    owner.revoked(3)
