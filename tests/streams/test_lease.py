"""The lease: how long nobody else can have our partitions, and what a process does that does not know."""

import asyncio
from typing import NoReturn

import pytest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

from app.streams.engine import lease
from app.streams.engine.lease import SHARE, Lease

SESSION_S = 10.0


class Coordinator:
    """As aiokafka's, as far as the lease looks. A heartbeat takes `takes_s` on the way and is then `accepted`."""

    def __init__(self) -> None:
        self.boot_s, self.takes_s, self.accepted = 1000.0, 0.0, True
        self.generation = 3
        self._rejoin_needed_fut: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def _do_heartbeat(self) -> bool:
        self.boot_s += self.takes_s
        return self.accepted

    async def _send_req(self, request: object) -> bool:
        self.boot_s += self.takes_s
        return self.accepted


async def joins(group: Coordinator, held: Lease, member: str = "m1", late_s: float = 0.0) -> None:
    """As aiokafka joins a group; its callback is called `late_s` after the response."""
    await group._send_req(JoinGroupRequest("g", 10_000, 30_000, "", "", "consumer", []))
    await group._send_req(SyncGroupRequest("g", 3, member, "", []))
    group.boot_s += late_s
    held.joined(member)


class Ended(Exception):
    """Instead of the process."""


@pytest.fixture
async def group() -> Coordinator:
    return Coordinator()


@pytest.fixture
async def held(group: Coordinator, monkeypatch: pytest.MonkeyPatch) -> Lease:
    def die(why: str) -> NoReturn:
        raise Ended(why)

    monkeypatch.setattr(lease, "die", die)
    made = Lease(SESSION_S, now=lambda: group.boot_s)
    made.attach(group)
    await joins(group, made)
    return made


async def test_it_lasts_a_share_of_the_session_from_when_the_heartbeat_was_sent(group: Coordinator, held: Lease):
    group.boot_s += 5.0
    group.takes_s = 3.0
    await group._do_heartbeat()
    assert held.left_s() == pytest.approx(SHARE * SESSION_S - 3.0)


async def test_a_heartbeat_that_was_not_accepted_prolongs_nothing(group: Coordinator, held: Lease):
    group.boot_s, group.accepted = group.boot_s + SHARE * SESSION_S, False
    await group._do_heartbeat()
    assert not held.may_act()


async def test_while_a_rebalance_is_due_or_the_membership_lost_nothing_may_be_done(group: Coordinator, held: Lease):
    assert held.may_act()
    group.generation = -1
    assert not held.may_act()
    group.generation = 4
    group._rejoin_needed_fut.set_result(None)
    assert not held.may_act()


async def test_while_the_broker_is_away_producing_waits_and_goes_on_with_the_next_heartbeat(
    group: Coordinator, held: Lease
):
    group.boot_s += SESSION_S
    waiting = asyncio.ensure_future(held.hold())
    assert not (await asyncio.wait({waiting}, timeout=0.1))[0]
    await group._do_heartbeat()
    await asyncio.wait_for(waiting, 5)


async def test_a_process_whose_membership_was_lost_meanwhile_ends(group: Coordinator, held: Lease):
    group.boot_s, group.generation = group.boot_s + SESSION_S, -1
    with pytest.raises(Ended, match="membership of the consumer group is lost"):
        await held.hold()


async def test_a_process_that_was_expelled_ends_when_it_is_let_in_again(group: Coordinator, held: Lease):
    held.joined("m1")
    with pytest.raises(Ended, match="expelled"):
        held.joined("m2")


async def test_after_a_join_it_lasts_from_when_the_last_request_of_the_join_was_sent(group: Coordinator, held: Lease):
    """Its response, and the callback, may come much later: the coordinator counted from the request meanwhile."""
    group.boot_s, group.takes_s = group.boot_s + 100.0, 2.0
    await joins(group, held, late_s=1.5)
    assert held.left_s() == pytest.approx(SHARE * SESSION_S - 3.5)


async def test_a_join_that_waited_for_other_members_costs_nothing_of_the_lease(group: Coordinator, held: Lease):
    """The coordinator counts anew from the request that follows, not from the one that waited."""
    group.boot_s, group.takes_s = group.boot_s + 100.0, 25.0
    await group._send_req(JoinGroupRequest("g", 10_000, 30_000, "", "", "consumer", []))
    group.takes_s = 0.0
    await group._send_req(SyncGroupRequest("g", 3, "m1", "", []))
    held.joined("m1")
    assert held.left_s() == pytest.approx(SHARE * SESSION_S)


async def test_a_heartbeat_after_the_join_is_not_taken_back_by_a_late_callback(group: Coordinator, held: Lease):
    group.boot_s += 100.0
    await joins(group, held)
    group.boot_s += 4.0
    await group._do_heartbeat()
    held.joined("m1")
    assert held.left_s() == pytest.approx(SHARE * SESSION_S)
