"""The cycle, written once: what makes a fold over slices safe when the process dies at any of its awaits.

    fold on an overlay → outputs acked → changelog acked → one WriteBatch → effects → slice acked

Outputs come before the rows that would make a redelivered input look done; the store is never ahead of the changelog.
Partitions run side by side, each strictly in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from app.streams.engine import points
from app.streams.engine.agent import Agent, Folding, Input, Unreadable
from app.streams.engine.exits import die
from app.streams.engine.producer import LeasedProducer
from app.streams.engine.scope import Overlay
from app.streams.engine.store import Rows
from app.telemetry import frames_of

# Under load a cycle's fixed cost (two produce requests, a WriteBatch) weighs more than its records: when slices of many
# partitions wait, each partition pauses a little, so that its next cycle folds more at once. When calm, never.
CALM, PAUSE_PER_SLICE_S, PAUSE_S = 8, 0.002, 0.02

_log = structlog.get_logger("app.streams.engine")


@dataclass(slots=True, eq=False)
class Slice:
    """Records of one partition as fetched, in order. `done` is set when their cycle is durable."""

    records: Sequence[Input]
    first: int
    last: int
    ack: Callable[[], None]


class Partition:
    """Runs the cycle of one agent over one partition, one slice at a time."""

    def __init__(
        self,
        agent: Agent,
        number: int,
        rows: dict[str, Rows],
        producer: LeasedProducer,
        most: int,
        pressure: Callable[[], int],
        unsafe: frozenset[str],
    ) -> None:
        self.agent, self.number = agent, number
        self._rows, self._producer, self._most, self._unsafe = rows, producer, most, unsafe
        self._pressure = pressure
        self._waiting: deque[Slice] = deque()
        self._work = asyncio.Event()
        self._woken = self._closing = self._again = False
        self._written: dict[str, set[bytes]] | None = {name: set() for name in rows}
        self.cycles = 0
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"{agent.name}-{number}")
        self._task.add_done_callback(_ended)

    def submit(self, piece: Slice) -> None:
        """Queue a slice."""
        self._waiting.append(piece)
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
        return f"{self.cycles} cycles, {len(self._waiting)} slices queued"

    async def close(self) -> None:
        """Finish the cycle under way, leave the rest un-acked."""
        self._closing = True
        self._work.set()
        await self._task
        self.agent.revoked(self.number)

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            if self._closing:
                return
            self._work.clear()
            while (self._waiting or self._woken or self._again) and not self._closing:
                if self._again:
                    await self._put_again()
                else:
                    await self._cycle(self._take())
                    await self._pause()

    async def _pause(self) -> None:
        if (crowd := self._pressure()) > CALM:
            await asyncio.sleep(min(PAUSE_S, PAUSE_PER_SLICE_S * crowd))

    def _take(self) -> list[Slice]:
        self._woken = False
        taken: list[Slice] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0].records) <= self._most):
            taken.append(self._waiting.popleft())
            count += len(taken[-1].records)
        return taken

    async def _cycle(self, slices: list[Slice]) -> None:
        overlay = Overlay(self.agent.tables, self._rows)
        self._fold(slices, overlay)
        self.agent.tick(self.number, overlay)
        if "rows_first" in self._unsafe:
            await self._store(overlay)
            points.reach("after_rows")
            await self._producer.send_all(overlay.outputs)
        else:
            await self._producer.send_all(overlay.outputs)
            points.reach("after_outputs")
            await self._store(overlay)
            points.reach("after_rows")
        self.agent.settled(self.number, overlay.changed)
        self.cycles += 1
        for piece in slices:
            piece.ack()

    def _fold(self, slices: list[Slice], overlay: Overlay) -> None:
        records = [record for piece in slices for record in piece.records]
        if self._rows:
            overlay.preload(key for record in records for key in self.agent.row_keys(record))
        for record in records:
            fold_record(self.agent, record, overlay)

    async def _store(self, overlay: Overlay) -> None:
        for table, encoded in overlay.encoded().items():
            rows = self._rows[table]
            if "store_first" in self._unsafe:
                rows.write(encoded, -1)
            offset = await self._producer.changelog(rows.changelog, self.number, encoded)
            self._refuse_foreign(rows, offset, len(encoded))
            rows.write(encoded, offset)
            self.written(table, (key for key, _ in encoded))

    def written(self, table: str, keys: Iterable[bytes]) -> None:
        """Note rows for `put_again`."""
        if self._written is not None:
            self._written[table].update(keys)

    def _refuse_foreign(self, rows: Rows, last: int, count: int) -> None:
        """Between our own records lies one that is not: a request of a former owner that the network held back.

        It may lie over a newer row. What is restored at the next start is not misled by it, and puts that row again.
        """
        if last - count + 1 != rows.next_offset and "foreign" not in self._unsafe:
            where = f"expected at {rows.next_offset}, are at {last - count + 1}"
            die(f"{rows.changelog}-{self.number}: our rows were {where}: a former owner wrote between them")
        rows.next_offset = last + 1

    def put_again(self) -> None:
        """Put every row written since the assignment once more, so that no late write of a former owner is the last.

        Call two session timeouts after the assignment; it runs between two cycles.
        """
        self._again = True
        self._work.set()

    async def _put_again(self) -> None:
        self._again = False
        written, self._written = self._written, None
        for table, keys in (written or {}).items():
            ordered = list(keys)
            rows = self._rows[table]
            if ordered:
                again = list(zip(ordered, rows.get_many(ordered), strict=True))
                offset = await self._producer.changelog(rows.changelog, self.number, again)
                self._refuse_foreign(rows, offset, len(again))
                rows.write((), offset)


def fold_record(agent: Folding, record: Input, overlay: Overlay) -> None:
    """Fold one record, in the cycle and in a replay: what is refused becomes a dead letter and changes no row, what
    raises freezes. `overlay.latest` then tells the rows it changed."""
    overlay.begin()
    try:
        if record.unreadable:
            raise Unreadable("", record.unreadable)
        agent.fold(record, overlay)
    except Unreadable as refused:
        overlay.undo()
        overlay.emit(agent.dead_letter(record, refused.field, refused.rule))
    except Exception as error:  # noqa: BLE001 - a fault of ours must not crash-loop the partition
        _freeze(agent, record, overlay, error)


def _freeze(agent: Folding, record: Input, overlay: Overlay, error: Exception) -> None:
    where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    frames = frames_of(error)
    _log.error("input.froze", agent=agent.name, error=type(error).__name__, frames=frames, **where)
    overlay.undo()
    overlay.emit(agent.dead_letter(record, "", f"fault of ours: {type(error).__name__}"))
    agent.frozen(record, overlay, error)


def _ended(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        die(f"cycle {task.get_name()} failed: {type(error).__name__} at {frames_of(error)}")
