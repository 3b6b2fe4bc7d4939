"""A fold in steps: what leaves between them, and what a stop in the middle of one leaves for the next owner."""

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from app.config.tenants import LaneConfig, Tenant
from app.streams.agents.bulk import BulkPacer
from app.streams.engine.agent import Input, Output
from app.streams.engine.backlog import Slice
from app.streams.engine.crash_marker import CrashMarker
from app.streams.engine.cycle import Partition
from app.streams.engine.poison_guard import PoisonGuard
from app.streams.engine.process_context import ProcessContext
from tests.support.expanding import NUMBERS, as_read, bulk_agent, inputs_in, intake_agent, record, taken_in

TENANTS = {
    "default": Tenant(name="default", shared_requests=True, lanes={"main": LaneConfig(from_number="+15005550006")})
}


class Broker:
    """Takes what is produced; `groups`: by request."""

    def __init__(self, noticed: Callable[[], None] = lambda: None) -> None:
        self.groups: list[list[Output]] = []
        self._noticed = noticed

    async def send_all(self, outputs: Iterable[Output]) -> None:
        if taken := list(outputs):
            self.groups.append(taken)
            self._noticed()

    def recipients(self) -> list[int]:
        return [len(inputs_in(group)) for group in self.groups]


def running(agent: Any, broker: Any) -> Partition:
    path = Path(tempfile.mkdtemp())
    shared = ProcessContext(producer=broker, marker=CrashMarker(path), guard=PoisonGuard(path))
    return Partition(agent, 0, {}, shared, lambda: None)


def parked(count: int) -> Input:
    [output] = taken_in(record({"to": NUMBERS[:count]}), TENANTS)
    return as_read(output)


def test_outputs_leave_step_by_step_and_the_slice_is_done_after_the_last() -> None:
    async def life() -> list[int]:
        broker, done = Broker(), asyncio.Event()
        partition = running(bulk_agent(TENANTS), broker)
        partition.submit(Slice([parked(50)], 5, 5, done.set))
        await asyncio.wait_for(done.wait(), 10)
        await partition.close()
        return broker.recipients()

    assert asyncio.run(life()) == [20, 20, 10]


def test_others_go_on_while_a_partition_waits_for_its_next_step() -> None:
    async def life() -> tuple[bool, bool]:
        paced, done = asyncio.Event(), asyncio.Event()
        slow = running(bulk_agent(TENANTS, BulkPacer(0.001)), Broker(paced.set))
        slow.submit(Slice([parked(50)], 5, 5, never))
        await asyncio.wait_for(paced.wait(), 10)
        quick = running(intake_agent(TENANTS), Broker())
        quick.submit(Slice([record({"to": NUMBERS[0]})], 17, 17, done.set))
        await asyncio.wait_for(done.wait(), 10)
        return await ended(slow), await ended(quick)

    assert asyncio.run(life()) == (True, True)


def test_told_to_close_while_it_waits_it_closes_and_leaves_the_record_to_the_next_owner() -> None:
    async def life() -> tuple[list[int], list[int]]:
        paced, done = asyncio.Event(), asyncio.Event()
        broken, whole = Broker(paced.set), Broker()
        first = running(bulk_agent(TENANTS, BulkPacer(0.001)), broken)
        first.submit(Slice([parked(50)], 5, 5, never))
        await asyncio.wait_for(paced.wait(), 10)
        assert await ended(first)
        heir = running(bulk_agent(TENANTS), whole)
        heir.submit(Slice([parked(50)], 5, 5, done.set))
        await asyncio.wait_for(done.wait(), 10)
        assert ids(broken) == ids(whole)[:20], "a repeat, by the ids that the fold knows"
        await ended(heir)
        return broken.recipients(), whole.recipients()

    assert asyncio.run(life()) == ([20], [20, 20, 10])


def test_a_fault_in_the_middle_is_a_dead_letter_and_the_partition_goes_on() -> None:
    class Faulty:
        """Fails at the second step of each record."""

        def __init__(self) -> None:
            self.inner = bulk_agent(TENANTS)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def fold(self, record: Input, scope: Any) -> Iterator[float]:
            steps = self.inner.fold(record, scope)
            yield next(steps)
            yield next(steps)
            raise ZeroDivisionError

    async def life() -> list[str]:
        broker, done = Broker(), asyncio.Event()
        partition = running(Faulty(), broker)
        partition.submit(Slice([parked(50), parked(50)], 5, 6, done.set))
        await asyncio.wait_for(done.wait(), 10)
        await partition.close()
        return [output.topic for group in broker.groups for output in group]

    assert asyncio.run(life()) == [*["contacts"] * 20, "notify.deadletters"] * 2


def never() -> None:
    raise AssertionError("it was never done")


async def ended(partition: Partition) -> bool:
    await asyncio.wait_for(partition.close(), 10)
    return True


def ids(broker: Broker) -> list[tuple[str, str]]:
    return [(value.id, value.message_id) for group in broker.groups for value in inputs_in(group)]
