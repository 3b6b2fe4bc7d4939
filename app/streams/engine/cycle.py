"""The cycle, written once: what makes a fold over slices safe when the process dies at any of its awaits.

    fold on an overlay → outputs acked → changelog acked → one WriteBatch → effects → slice acked

Outputs come before the rows that would make a redelivered input look done; the store is never ahead of the changelog.
Partitions run side by side, each strictly in order. A cycle ends early when it has made much (see `Budget`).

A fault that a record causes stays with the record. If a cycle fails, its records are folded again one by one; the one
that fails alone is set aside. Only a fault of the infrastructure ends the process (the producer, the store).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from app import clock
from app.kafka.batch_watch import SET_ASIDE
from app.streams.engine import failpoints
from app.streams.engine.agent import Agent, Input
from app.streams.engine.backlog import Backlog, Slice
from app.streams.engine.budget import Budget
from app.streams.engine.crash_marker import Work, WorkStage
from app.streams.engine.errors import ClosingError, CycleError, RecordRefusedError
from app.streams.engine.overlay import Encoded, Overlay
from app.streams.engine.process_context import ProcessContext
from app.streams.engine.process_exit import die
from app.streams.engine.record_fold import Steps, fold_record, next_step, set_aside
from app.streams.engine.row_writer import RowWriter
from app.streams.engine.store import Rows
from app.telemetry import frames_of

# Under load a cycle's fixed cost (two produce requests, a WriteBatch) weighs more than its records: when slices of many
# partitions wait, each partition pauses a little, so that its next cycle folds more at once. When calm, never.
CALM, PAUSE_PER_SLICE_S, PAUSE_S = 8, 0.002, 0.02

_log = structlog.get_logger("app.streams.engine")


class Partition:
    """Runs the cycle of one agent over one partition. `reassign` gives the agent the partition's rows anew.
    `folded_to`: the first offset that was not folded durably by this owner."""

    def __init__(
        self, agent: Agent, number: int, rows: dict[str, Rows], shared: ProcessContext, reassign: Callable[[], None]
    ) -> None:
        self.agent, self.number = agent, number
        self._rows, self._shared, self._reassign = rows, shared, reassign
        self._unsafe = shared.unsafe
        self.writer = RowWriter(number, rows, shared.producer, shared.unsafe)
        self._backlog = Backlog()
        self._work = asyncio.Event()
        self._woken = self._again = False
        self._closing = asyncio.Event()
        self._one_by_one, self._refused, self._to_commit = -1, dict[int, str](), False
        self.cycles = self.folded_to = 0
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"{agent.name}-{number}")
        self._task.add_done_callback(_ended)

    def submit(self, piece: Slice) -> None:
        """Add a slice to the backlog of the partition."""
        self._backlog.add(piece)
        self._work.set()

    def wake(self) -> None:
        """Run a cycle without records soon."""
        self._woken = True
        self._work.set()

    def row(self, table: str, key: bytes) -> bytes | None:
        """A durable row, encoded."""
        return self._rows[table].get(key)

    def told(self) -> str:
        """Cycles done, slices queued."""
        return f"{self.cycles} cycles, {len(self._backlog)} slices queued"

    async def close(self) -> None:
        """Finish the cycle under way, leave the rest un-acked."""
        self._closing.set()
        self._work.set()
        await self._task
        self.agent.revoked(self.number)

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            if self._closing.is_set():
                return
            self._work.clear()
            while (self._backlog or self._woken or self._again) and not self._closing.is_set():
                if self._again:
                    self._again = False
                    await self._put_again()
                else:
                    await self._turn()
                    await self._pause()

    async def _put_again(self) -> None:
        try:
            await self.writer.put_again()
        except RecordRefusedError as refused:
            # It was taken before; a smaller limit is an operator's, and what the changelog has of it stands.
            _log.error("rows.not_put_again", agent=self.agent.name, partition=self.number, error=str(refused))

    async def _pause(self) -> None:
        if (crowd := self._shared.pressure()) > CALM:
            await asyncio.sleep(min(PAUSE_S, PAUSE_PER_SLICE_S * crowd))

    async def _turn(self) -> None:
        self._woken = False
        try:
            await self._cycle()
        except CycleError as error:
            self._contain(error.__cause__ or error)
        except ClosingError:
            self._backlog.rewind()
        except SystemExit:
            die("an exit was asked for in the middle of a cycle")

    async def _cycle(self) -> None:
        overlay = Overlay(self.agent.tables, self._rows)
        with self._contained():
            await self._fold(overlay)
            self.agent.tick(self.number, overlay)
            encoded = self._encoded(overlay)
            if "rows_first" not in self._unsafe:
                await self._shared.producer.send_all(overlay.outputs)
                failpoints.reach("after_outputs")
            await self.writer.store(encoded)
        failpoints.reach("after_rows")
        if "rows_first" in self._unsafe:
            await self._shared.producer.send_all(overlay.outputs)
        with self._contained():
            self.agent.settled(self.number, overlay.changed)
        self._settle()
        if self._to_commit:
            # Else a record that ends the process soon after would have this one set aside again at each start.
            self._to_commit = False
            await self._shared.commit_others()

    def _settle(self) -> None:
        """All that was folded is durable."""
        self.cycles += 1
        self._progressed()
        for record in self._backlog.in_hand() if self._refused else ():
            self._refused.pop(record.offset, None)
        last = self._backlog.last_in_hand()
        for piece in self._backlog.settle():
            last = max(last, piece.last)
            piece.ack()
        self.folded_to = max(self.folded_to, last + 1)

    @contextmanager
    def _contained(self) -> Iterator[None]:
        """Whatever is raised here is a fault of the records in hand: producer and store end the process themselves."""
        try:
            yield
        except (CycleError, ClosingError):
            raise
        except Exception as error:
            raise CycleError from error

    # -- folding

    async def _fold(self, overlay: Overlay) -> None:
        budget = Budget(self._shared.limits)
        while records := self._next():
            for record in self._entered(records, overlay):
                await self._fold_one(record, overlay, budget)
                self._backlog.taken += 1
                budget.folded(record.size)
                if overlay.ends or self._alone(record) or budget.spent(len(overlay.outputs), overlay.bytes):
                    self._leave()
                    return
                if budget.breath_due():
                    await self._elsewhere(budget, asyncio.sleep(0), records)
        self._leave()

    def _next(self) -> list[Input]:
        """The records that are read together next; one alone where a death or a failed cycle made it suspect."""
        records = self._backlog.next(self._shared.limits.chunk)
        return records[:1] if records and self._alone(records[0]) else records

    def _alone(self, record: Input) -> bool:
        return record.offset <= self._one_by_one or self._shared.guard.careful(
            record.topic, record.partition, record.offset
        )

    def _entered(self, records: list[Input], overlay: Overlay) -> list[Input]:
        self._enter(WorkStage.FOLD, records)
        if self._rows:
            overlay.preload(key for record in records for key in self.agent.row_keys(record))
        return records

    async def _fold_one(self, record: Input, overlay: Overlay, budget: Budget) -> None:
        if self._shared.guard.careful(record.topic, record.partition, record.offset):
            await self._elsewhere(budget, self._shared.commit_others(), [record])
        if rule := self._rule(record):
            set_aside(self.agent, record, overlay, rule)
            self._shared.set_aside(record.topic)
            self._to_commit = True
            return
        if record.unreadable.startswith(SET_ASIDE):
            self._shared.set_aside(record.topic)
        if (steps := fold_record(self.agent, record, overlay)) is not None:
            await self._take_steps(record, steps, overlay, budget)

    def _rule(self, record: Input) -> str:
        """Why the record is not to be folded, empty if it is."""
        if deaths := self._shared.guard.condemned(record.topic, record.partition, record.offset, record.at_ms):
            return f"{SET_ASIDE}ended the process {deaths} times"
        return self._refused.get(record.offset, "")

    async def _take_steps(self, record: Input, steps: Steps, overlay: Overlay, budget: Budget) -> None:
        while (wait_s := next_step(self.agent, record, overlay, steps)) is not None:
            if not self._rows:
                await self._elsewhere(budget, self._flush(overlay), [record])
            await self._elsewhere(budget, self._wait(wait_s), [record])

    async def _flush(self, overlay: Overlay) -> None:
        await self._shared.producer.send_all(overlay.take_outputs())
        self._progressed()

    def _progressed(self) -> None:
        # What is done in the background must not hide that nothing else advances.
        if not self.agent.background:
            self._shared.progressed()

    async def _wait(self, seconds: float) -> None:
        """Raises ClosingError as soon as the partition is let go."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return
        raise ClosingError

    async def _elsewhere(self, budget: Budget, work: Awaitable[Any], records: list[Input]) -> None:
        """Await something in the middle of a fold: nothing is in hand meanwhile, and the time is not the cycle's."""
        self._leave()
        began_s = clock.boot_s()
        await work
        budget.waited(clock.boot_s() - began_s)
        self._enter(WorkStage.FOLD, records)

    def _enter(self, stage: WorkStage, records: list[Input]) -> None:
        first, last = records[0], records[-1]
        work = Work(first.topic, first.partition, first.offset, last.offset, first.at_ms)
        self._shared.marker.folding.enter(stage, work)

    def _leave(self) -> None:
        self._shared.marker.folding.leave()

    # -- faults

    def _contain(self, error: BaseException) -> None:
        """The cycle failed: fold its records one by one, and set aside the one that fails alone."""
        kind, count = type(error).__name__, self._backlog.taken
        self._leave()
        self._backlog.rewind()
        records = self._backlog.next(count + self._shared.limits.chunk)
        _log.error("cycle.failed", agent=self.agent.name, partition=self.number, error=kind, frames=frames_of(error))
        if not records or records[0].offset in self._refused:
            die(f"cycle {self._task.get_name()} failed: {kind} at {frames_of(error)}")
        if self._alone(records[0]):
            self._refused[records[0].offset] = f"{SET_ASIDE}fault of ours: {kind}"
        else:
            self._one_by_one = records[-1].offset
        self.agent.revoked(self.number)
        self._reassign()

    # -- durability

    def _encoded(self, overlay: Overlay) -> list[tuple[str, list[Encoded]]]:
        if records := self._backlog.in_hand():
            self._enter(WorkStage.ENCODE, records)
        encoded = overlay.encoded()
        self._leave()
        return encoded

    def put_again(self) -> None:
        """Put every row written since the assignment once more, so that no late write of a former owner is the last.

        Call two session timeouts after the assignment; it runs between two cycles.
        """
        self._again = True
        self._work.set()


def _ended(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        die(f"cycle {task.get_name()} failed: {type(error).__name__} at {frames_of(error)}")
