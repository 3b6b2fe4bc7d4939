"""The cycle over memory: how much it does at once, what it contains, and how it ends."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from app.streams.engine.agent import FoldScope, Input, Output, TableSpec
from app.streams.engine.backlog import Slice
from app.streams.engine.budget import Limits
from app.streams.engine.crash_marker import CrashMarker
from app.streams.engine.cycle import Partition
from app.streams.engine.errors import RecordRefusedError
from app.streams.engine.poison_guard import PoisonGuard
from app.streams.engine.process_context import ProcessContext
from app.streams.engine.producer import AppendResult

TABLE = TableSpec("state", bytes, bytes)


class Memory:
    """Producer and store in one: what was produced in one go is one list of `sent`; `refuses` is a value Kafka does
    not take, as an output or as a row."""

    changelog, next_offset = "state-changelog", 0

    def __init__(self, refuses: bytes = b"") -> None:
        self.sent: list[list[Output]] = []
        self.kept: dict[bytes, bytes | None] = {}
        self.refuses = refuses

    async def send_all(self, outputs: Sequence[Output]) -> None:
        if self.refuses and any(output.value == self.refuses for output in outputs):
            raise RecordRefusedError("refused")
        self.sent.append(list(outputs))

    async def changelog_rows(
        self, topic: str, partition: int, rows: Sequence[tuple[bytes, bytes | None]]
    ) -> AppendResult:
        if self.refuses and any(value == self.refuses for _, value in rows):
            raise RecordRefusedError("refused")
        return AppendResult(self.next_offset + len(rows) - 1, 0)

    def get(self, key: bytes) -> bytes | None:
        return self.kept.get(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.kept.get(key) for key in keys]

    def write(self, rows: Sequence[tuple[bytes, bytes | None]], offset: int, at_ms: int) -> None:
        self.kept.update(rows)


class Producer:
    """The part of the engine's producer that a cycle uses."""

    def __init__(self, memory: Memory) -> None:
        self.send_all, self.changelog = memory.send_all, memory.changelog_rows


class Agent:
    """Writes each value under its key and emits it; a value `steps:N` is folded in N steps; `settle` raises late."""

    name, topic, rest_s, background = "agent", "in", 0.0, False

    def __init__(self, tables: Sequence[TableSpec[Any]] = (TABLE,)) -> None:
        self.tables = tables
        self.settled_keys: list[bytes] = []
        self.assignments = 0
        self.waits_s = 0.0

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        return [("state", record.key or b"")] if self.tables else []

    def fold(self, record: Input, scope: FoldScope) -> Iterator[float] | None:
        if (record.value or b"").startswith(b"steps:"):
            return self._steps(record, scope)
        if self.tables:
            scope.put("state", record.key or b"", record.value)
        scope.emit(Output("out", record.key, record.value))
        return None

    def _steps(self, record: Input, scope: FoldScope) -> Iterator[float]:
        for step in range(int((record.value or b"")[6:])):
            scope.emit(Output("out", record.key, b"%d" % step))
            yield self.waits_s

    def set_aside(self, record: Input, scope: FoldScope) -> None:
        scope.emit(Output("log", record.key, b"set aside"))

    def frozen(self, record: Input, scope: FoldScope, error: Exception) -> None:
        scope.put("state", record.key or b"", b"frozen")

    def dead_letter(self, record: Input, field: str, rule: str) -> Output:
        return Output("dead", record.key, rule.encode())

    def tick(self, partition: int, scope: FoldScope) -> None:
        pass

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any]]) -> None:
        for key, row in changed.get("state", {}).items():
            if row == b"settle":
                raise RuntimeError("an effect cannot be started")
            self.settled_keys.append(key)

    def assigned(self, partition: int, rows: Mapping[str, Any]) -> None:
        self.assignments += 1

    def revoked(self, partition: int) -> None:
        pass


class Bench:
    """One partition over memory. `acked`: first offsets of the slices that are done."""

    def __init__(self, path: Any, agent: Agent, memory: Memory, limits: Limits) -> None:
        self.agent, self.memory, self.acked = agent, memory, list[int]()
        marker, guard = CrashMarker(path), PoisonGuard(path)
        shared = ProcessContext(producer=Producer(memory), marker=marker, guard=guard, limits=limits)  # type: ignore[arg-type]
        rows: Any = {"state": memory} if agent.tables else {}
        self.partition = Partition(agent, 0, rows, shared, lambda: agent.assigned(0, {}))  # type: ignore[arg-type]
        self._next = 0

    def submit(self, *values: bytes) -> None:
        first = self._next
        keys = [b"k%d" % (first + n) for n in range(len(values))]
        made = [Input("in", 0, first + n, 0, keys[n], value, []) for n, value in enumerate(values)]
        self._next += len(values)
        self.partition.submit(Slice(made, first, self._next - 1, lambda: self.acked.append(first)))

    async def done(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.acked) < count:
                await asyncio.sleep(0)

    def sent(self, topic: str) -> list[bytes | None]:
        return [output.value for outputs in self.memory.sent for output in outputs if output.topic == topic]


@pytest.fixture
def bench(tmp_path):
    def make(agent: Agent | None = None, memory: Memory | None = None, **limits: Any) -> Bench:
        return Bench(tmp_path, agent or Agent(), memory or Memory(), Limits(**limits))

    return make


@pytest.mark.parametrize(
    ("limits", "most"),
    [({"records": 10}, 10), ({"outputs": 7}, 7), ({"bytes": 400}, 3), ({"seconds": 0.0}, 1)],
    ids=["records", "outputs", "bytes", "time"],
)
async def test_a_cycle_ends_where_it_has_made_much_and_the_next_goes_on_there(bench, limits, most):
    it = bench(**limits)
    values = [b"%0100d" % n for n in range(25)]
    it.submit(*values)
    await it.done(1)
    assert it.sent("out") == values
    assert max(len(outputs) for outputs in it.memory.sent) <= most
    await it.partition.close()


@pytest.mark.parametrize("fault", ["output", "effect"])
async def test_what_fails_a_cycle_is_found_and_set_aside_and_every_other_record_is_folded(bench, fault):
    bad = b"refused" if fault == "output" else b"settle"
    it = bench(memory=Memory(refuses=b"refused"))
    it.submit(*[bad if n == 5 else b"%d" % n for n in range(12)])
    await it.done(1)
    assert it.memory.kept == {b"k%d" % n: b"frozen" if n == 5 else b"%d" % n for n in range(12)}
    assert {b"%d" % n for n in range(12) if n != 5} <= set(it.sent("out"))
    kind = b"RecordRefusedError" if fault == "output" else b"RuntimeError"
    assert it.sent("dead") == [b"set aside: fault of ours: " + kind] and it.sent("log") == [b"set aside"]
    assert it.agent.assignments == 2, "what the agent keeps in memory is built anew after each failed cycle"
    await it.partition.close()


async def test_steps_let_others_have_their_turn_and_outputs_of_an_agent_without_tables_leave_between_them(bench):
    it = bench(agent=Agent(tables=()))
    it.submit(b"steps:5", b"after")
    await it.done(1)
    assert [[output.value for output in outputs] for outputs in it.memory.sent if outputs] == [
        *[[b"%d" % n] for n in range(5)],
        [b"after"],
    ]
    await it.partition.close()


async def test_an_agent_with_tables_keeps_what_a_record_makes_together(bench):
    it = bench()
    it.submit(b"steps:5")
    await it.done(1)
    assert [len(outputs) for outputs in it.memory.sent] == [5]
    await it.partition.close()


async def test_a_partition_that_is_let_go_between_two_steps_does_not_wait_and_leaves_the_record_unacked(bench):
    it = bench(agent=Agent(tables=()))
    it.agent.waits_s = 3600.0
    it.submit(b"steps:5")
    async with asyncio.timeout(10):
        while not it.memory.sent:
            await asyncio.sleep(0)
        await it.partition.close()
    assert it.sent("out") == [b"0"] and it.acked == []


async def test_rows_that_kafka_takes_no_more_are_not_put_again_and_the_partition_goes_on(bench):
    it = bench()
    it.submit(b"1", b"2")
    await it.done(1)
    it.memory.refuses = b"2"
    it.partition.put_again()
    it.submit(b"3")
    await it.done(2)
    await it.partition.close()
