"""What Kafka refuses outside a cycle costs nobody else anything; a tenant whose list is odd holds up no other."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from app.provider.message_list import MessagePage, Query
from app.streams.agents import due_timers
from app.streams.agents.due_timers import DueTimers
from app.streams.engine import producer
from app.streams.engine.agent import Output
from app.streams.engine.app import Runtime
from app.streams.engine.errors import RecordRefusedError
from app.streams.engine.lease import Lease
from app.streams.monitoring.contained_faults import ContainedFaults, TolerantSender
from app.streams.reconcile import pager as paging
from app.streams.reconcile import reconciler as module
from app.streams.reconcile.pager import ListUnavailableError, Pager
from app.streams.reconcile.reconciler import Reconciler


def output(value: bytes) -> Output:
    return Output("contacts", b"c", value, 0)


class Refusing:
    """Takes records up to the first that it refuses, as the engine's producer does within a partition."""

    def __init__(self) -> None:
        self.taken: list[bytes | None] = []

    async def send(self, outputs: Sequence[Output]) -> dict[tuple[str, int], int]:
        for one in outputs:
            if one.value == b"odd":
                raise RecordRefusedError("MessageSizeTooLargeError")
            self.taken.append(one.value)
        return {("contacts", 0): len(self.taken) - 1}


async def test_what_kafka_refuses_is_counted_and_all_beside_it_is_sent() -> None:
    kafka, faults = Refusing(), ContainedFaults()
    await TolerantSender(kafka.send, faults, "timers")([output(b"1"), output(b"odd"), output(b"2"), output(b"odd")])
    assert sorted(set(kafka.taken)) == [b"1", b"2"]
    assert faults.counts["timers"] == 2


async def test_another_fault_of_the_producer_is_not_hidden() -> None:
    async def send(outputs: Sequence[Output]) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await TolerantSender(send, ContainedFaults(), "timers")([output(b"1")])


async def test_a_round_that_raises_is_counted_and_another_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one tenant; the task of the lister does not end, which would end the worker."""
    rounds: list[str] = []
    third = asyncio.Event()

    async def fails_twice(tenant: str) -> None:
        rounds.append(tenant)
        if len(rounds) < 3:
            raise OverflowError
        third.set()

    monkeypatch.setattr(module, "ROUND_S", 0.0)
    lister: Any = object.__new__(Reconciler)
    lister._faults, lister.round = ContainedFaults(), fails_twice
    task = asyncio.ensure_future(lister.run("acme"))
    await asyncio.wait_for(third.wait(), 5)
    task.cancel()
    assert lister._faults.counts["lister"] == 2


async def test_a_kafka_that_does_not_say_how_many_partitions_there_are_is_no_fault_of_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cycle would set its records aside, one by one."""
    ended: list[str] = []

    def die(why: str) -> None:
        ended.append(why)
        raise SystemExit

    class Away:
        async def partitions_for(self, topic: str) -> set[int]:
            raise KafkaConnectionError

    monkeypatch.setattr(producer, "die", die)
    sending = producer.LeasedProducer(Lease(10.0))
    sending._producer = Away()  # type: ignore[assignment] # all that is used
    with pytest.raises(SystemExit):
        await sending.send_all([Output("notify.updates", b"k", b"v")])
    assert ended == ["the partitions of notify.updates are not known: KafkaConnectionError"]


async def test_a_round_of_timers_that_raises_is_counted_and_another_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row that is odd must not end the timers of all contacts, which would end the worker."""
    rounds: list[int] = []
    second = asyncio.Event()

    class Odd:
        timers, checkpoints = {}, {}

        def arm_some(self, count: int) -> bool:
            rounds.append(count)
            if len(rounds) == 1:
                raise OverflowError
            second.set()
            return False

    monkeypatch.setattr(due_timers, "TIMER_FAULT_S", 0.0)
    faults: Any = ContainedFaults()
    never: Any = None
    timers = DueTimers(Odd(), never, never, never, faults, topic="contacts", pk="11111111")  # type: ignore[arg-type]
    task = asyncio.ensure_future(timers.run())
    await asyncio.wait_for(second.wait(), 5)
    task.cancel()
    assert faults.counts["timers"] == 1


async def test_a_list_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        async def page(self, query: Query, after: str = "") -> MessagePage:
            return MessagePage(texts=(), after="/2010-04-01/again")

    monkeypatch.setattr(paging, "MOST_PAGES", 3)
    pages = Pager("acme", Endless(), asyncio.Semaphore(1))
    with pytest.raises(ListUnavailableError):
        async for _ in pages.of(Query()):
            pass
    assert pages.asked == 3


async def test_a_watchdog_that_fails_ends_the_process() -> None:
    """It writes to the data directory: without it a worker that stalls would never end."""

    class App:
        crashed = should_stop = False

    async def fails() -> None:
        raise OSError(28, "the disk is full")

    with pytest.raises(OSError, match="disk"):
        await Runtime._until(None, App(), [asyncio.ensure_future(fails())], asyncio.Event())  # type: ignore[arg-type] # all that is used
