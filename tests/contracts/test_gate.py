"""The gate to one account: so many at once as it allows, tenants in turn, nobody lost who gives up waiting."""

import asyncio
import random
from collections.abc import Mapping

import pytest

from app.config.settings import Settings
from app.config.tenants import LaneConfig, Tenant
from app.provider.concurrency_limiter import ConcurrencyLimiter
from app.streams.monitoring.health import GateCollector
from app.streams.worker import Worker
from tests.support.calling import settled

THROTTLED: Mapping[str, str] = {"twilio-concurrent-requests": "30", "twilio-request-duration": "0.012"}


class Crowd:
    """Requests that wait for a gate, stay inside until told, and note who is in."""

    def __init__(self, gate: ConcurrencyLimiter) -> None:
        self.gate, self.inside, self.order, self.most = gate, 0, list[str](), 0
        self.done = asyncio.Semaphore(0)
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, tenant: str, times: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._pass(tenant)) for _ in range(times)]
        await settled()

    async def _pass(self, tenant: str) -> None:
        async with self.gate.line(tenant):
            self.order.append(tenant)
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await self.done.acquire()
            finally:
                self.inside -= 1

    async def leave(self, times: int = 1) -> None:
        for _ in range(times):
            self.done.release()
        await settled()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_as_many_are_inside_as_the_limit_says_and_a_place_that_is_left_is_taken() -> None:
    crowd = Crowd(ConcurrencyLimiter(3))
    await crowd.come("acme", 8)
    assert (crowd.inside, crowd.gate.inside) == (3, 3)
    await crowd.leave(8)
    assert (crowd.most, len(crowd.order), crowd.gate.inside) == (3, 8, 0)


async def test_p7_a_tenant_with_many_waiting_holds_up_another_of_the_same_account_by_one() -> None:
    crowd = Crowd(ConcurrencyLimiter(1))
    await crowd.come("loud", 50)
    await crowd.come("quiet", 2)
    await crowd.leave(5)
    assert crowd.order[:5] == ["loud", "loud", "quiet", "loud", "quiet"]
    await crowd.end()


async def test_after_a_429_fewer_are_let_in_and_after_answers_more_again() -> None:
    gate = ConcurrencyLimiter(8)
    crowd = Crowd(gate)
    await crowd.come("acme", 30)
    begun = [gate.begin() for _ in range(8)]
    for one in begun:
        gate.answered(one, 429, THROTTLED)
    await crowd.leave(4)
    assert (gate.limit, crowd.inside) == (4, 4)
    for _ in range(40):
        gate.answered(gate.begin(), 201, {"twilio-concurrent-requests": "many"})
    await crowd.leave(1)
    assert (gate.limit, crowd.inside) == (8, 8)
    await crowd.end()


@pytest.mark.parametrize("seed", range(5))
async def test_who_gives_up_leaves_no_place_taken_and_none_unused(seed: int) -> None:
    chance, crowd = random.Random(seed), Crowd(ConcurrencyLimiter(3))
    for _ in range(200):
        match chance.randrange(3):
            case 0:
                await crowd.come(chance.choice("ab"), chance.randrange(3))
            case 1:
                await crowd.leave(1 if crowd.inside else 0)
            case _ if open_ := [task for task in crowd.tasks if not task.done()]:
                chance.choice(open_).cancel()
                if chance.random() < 0.5:  # while a place is being handed on
                    await crowd.leave(1 if crowd.inside else 0)
                await settled()
        waiting = sum(not task.done() for task in crowd.tasks) - crowd.inside
        assert crowd.gate.inside == crowd.inside <= 3
        assert not waiting or crowd.inside == 3
    await crowd.end()
    assert crowd.gate.inside == 0


def worker(tmp_path, **accounts: str) -> Worker:
    lane = {"main": LaneConfig(from_number="+15005550006")}
    tenants = {name: Tenant(name=name, account_sid=account, lanes=lane) for name, account in accounts.items()}
    env = {"HELIOGRAPH_PSEUDONYM_KEY": "11" * 32, "HELIOGRAPH_SEAL_KEYS": "k1:" + "22" * 32,
           "HELIOGRAPH_DATA_DIR": str(tmp_path / "data"), "HELIOGRAPH_CALL_CONCURRENCY": "7"}  # fmt: skip
    return Worker(Settings.read(env), tenants)


async def test_the_limit_in_force_and_what_is_under_way_are_shown_by_tenant() -> None:
    gate = ConcurrencyLimiter(8)
    gate.answered(gate.begin(), 429, THROTTLED)
    async with gate.line("a"):
        shown = {(one.name, s.labels["tenant"], s.value) for one in GateCollector({"a": gate.line("a")}).collect()
                 for s in one.samples}  # fmt: skip
    assert shown == {("heliograph_worker_calls_limit", "a", 4), ("heliograph_worker_calls_open", "a", 1)}


async def test_tenants_of_one_account_share_its_gate_and_others_have_their_own(tmp_path) -> None:
    lines = worker(tmp_path, a="AC1", b="AC1", c="AC2").lines
    assert lines["a"].gate is lines["b"].gate is not lines["c"].gate
    assert lines["c"].gate.limit == 7
