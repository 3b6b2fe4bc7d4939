"""The engine: which partitions run, what effects may ask of it, and how alive it is."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from app import clock
from app.streams.engine.agent import UNREADABLE_ROW, Agent, Output, TableSpec
from app.streams.engine.append_times import AppendTimes
from app.streams.engine.backlog import Slice
from app.streams.engine.batch_guard import BatchGuard
from app.streams.engine.cycle import Partition
from app.streams.engine.lease import Lease
from app.streams.engine.positions import Positions
from app.streams.engine.process_context import ProcessContext
from app.streams.engine.process_exit import CONFIG, die
from app.streams.engine.restore import Restore
from app.streams.engine.store import Rows

# So many rows read are a progress.
PROGRESS_ROWS = 10_000
# The longest that a suspect record waits for the work beside it, and how often that is looked at, seconds.
OTHERS_S, LOOK_S = 2.0, 0.02

_log = structlog.get_logger("app.streams.engine")


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """How the process stands. `idle_s`: since the last progress (a slice acked, a changelog slice restored).

    `recovering`: a rebalance or a recovery is on; `restoring`: partitions are ours, and their rows not there yet.
    """

    assigned: int
    recovering: bool
    restoring: bool
    waiting: int
    lease_s: float
    progress: int
    idle_s: float


class Engine:
    """One per process. Agents and their effect tasks get it; Faust's side calls the methods below the line."""

    def __init__(
        self,
        agents: Sequence[Agent],
        lease: Lease,
        shared: ProcessContext,
    ) -> None:
        self.lease, self.producer, self.unsafe = lease, shared.producer, shared.unsafe
        self.guard, self.slice_records = shared.guard, shared.limits.records
        self.batch_guard = BatchGuard(shared.marker.reading, shared.guard)
        self._at_suspects, self._others_done = 0, False
        self._shared = replace(
            shared,
            pressure=self._waiting,
            progressed=self.progressed,
            commit_others=self._commit_others,
        )
        self._agents = {agent.topic: agent for agent in agents}
        self._names = {agent.name: agent.topic for agent in agents}
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._tables: dict[str, Any] = {}
        self._progress, self._moved_s = 0, clock.boot_s()
        self.ends: dict[tuple[str, int], int] = {}
        self.without_commit: dict[tuple[str, int], int] = {}
        self.append_times = AppendTimes()
        self.app: Any = None
        self.client: dict[str, Any] = {}
        self.positions = Positions("", shared.producer)

    # -- for agents and effects

    def wake(self, agent: str, partition: int) -> None:
        """Run a cycle without records soon; nothing if the partition is not ours."""
        runner = self._partitions.get((self._names[agent], partition))
        if runner is not None:
            runner.wake()

    async def send_all(self, outputs: Sequence[Output]) -> dict[tuple[str, int], int]:
        """Produce outside a cycle (answers, due timers); acknowledged when it returns. Returns the last offset by topic
        and partition. Raises RecordRefusedError."""
        return await self.producer.send_all(outputs)

    def row(self, topic: str, partition: int, table: str, key: bytes) -> bytes | None:
        """A row as it is durable now, encoded; None if there is none or the partition is not ours."""
        runner = self._partitions.get((topic, partition))
        return None if runner is None else runner.row(table, key)

    def appended_after(self, topic: str, partition: int, offset: int) -> float | None:
        """Boot time in seconds after which the record became readable; None if that is not known."""
        return self.append_times.appended_after(topic, partition, offset)

    def folded_to(self, topic: str, partition: int) -> int:
        """The first offset that is not folded durably yet, as far as this process has folded; 0 before that."""
        runner = self._partitions.get((topic, partition))
        return 0 if runner is None else runner.folded_to

    def owns(self, topic: str, partition: int) -> bool:
        """Whether the partition is assigned to us, recovered and running."""
        return (topic, partition) in self._partitions

    def health(self) -> EngineHealth:
        """The state of the engine as health and metrics show it."""
        return EngineHealth(
            assigned=len(self._partitions),
            recovering=bool(self.app is None or self.app.rebalancing or self.app.in_recovery),
            restoring=self.app is not None and bool(self.app.consumer.taking_over),
            waiting=self._waiting(),
            lease_s=self.lease.left_s(),
            progress=self._progress,
            idle_s=clock.boot_s() - self._moved_s,
        )

    def cycles(self) -> dict[str, str]:
        """Per partition what it did and what waits for it: for the last word of a stalled process."""
        return {f"{agent}-{number}": runner.told() for (agent, number), runner in self._partitions.items()}

    def _waiting(self) -> int:
        """Slices that somebody waits for."""
        return 0 if self.app is None else int(self.app.consumer.waiting)

    # -- for Faust's side

    def bind(self, app: Any, tables: dict[str, Any]) -> None:
        """The app and its tables by name, once built."""
        self.app, self._tables = app, tables

    def rest_s(self, topic: str) -> float:
        """How long the agent of this topic rests; 0 for topics that are of none."""
        agent = self._agents.get(topic)
        return agent.rest_s if agent else 0.0

    def background(self, topic: str) -> bool:
        """Whether nobody waits for the slices of this topic (see `Agent`)."""
        agent = self._agents.get(topic)
        return agent is not None and agent.background

    def vital(self) -> Iterator[tuple[str, str]]:
        """Topics, and the changelogs of tables whose rows are in no other place."""
        for agent in self._agents.values():
            for spec in agent.tables:
                if spec.vital:
                    yield agent.topic, self._tables[spec.name].changelog_topic.get_topic_name()

    def changelogs_of(self, topic: str) -> list[str]:
        """The changelogs of the agent that reads this topic."""
        agent = self._agents.get(topic)
        return [self._tables[spec.name].changelog_topic.get_topic_name() for spec in agent.tables] if agent else []

    def guarded(self, topic: str) -> bool:
        """Whether rows know which offsets of this topic were folded."""
        agent = self._agents.get(topic)
        return agent is not None and any(spec.watermark for spec in agent.tables)

    def progress(self) -> int:
        """How often something durable happened; from any thread."""
        return self._progress

    def progressed(self) -> None:
        """Tell the watchdog that something became durable."""
        self._progress += 1
        self._moved_s = clock.boot_s()

    def forget(self, revoked: Collection[Any]) -> None:
        """These partitions are somebody else's: what is known of their records would be out of date."""
        for tp in revoked:
            self.guard.forget(tp.topic, tp.partition)
        self.append_times.forget(revoked)

    def submit(self, tp: Any, piece: Slice) -> None:
        """A slice reached its agent."""
        runner = self._partitions.get((tp.topic, tp.partition))
        if runner is not None:
            runner.submit(piece)

    async def handed_over(self) -> None:
        """Recovery is complete and the seek is done: build the partitions, before the first slice."""
        if self._partitions:
            await self.let_go()
        assigned = sorted({(tp.topic, tp.partition) for tp in self.app.consumer.assignment()})
        for topic, number in assigned:
            agent = self._agents.get(topic)
            if agent is None:
                continue
            rows = {spec.name: self._rows(spec.name, number) for spec in agent.tables}
            self._refuse_ahead(agent, rows, (topic, number))
            reassign = partial(self._assign, agent, number, rows)
            reassign()
            runner = self._partitions[topic, number] = Partition(agent, number, rows, self._shared, reassign)
            for name, table in rows.items():
                restore = self._restore_of(table)
                runner.writer.written(name, restore.back if restore else ())
            self.progressed()
        self.progressed()
        later = 2 * self.app.conf.broker_session_timeout
        for runner in self._partitions.values():
            asyncio.get_running_loop().call_later(later, runner.put_again)

    def _assign(self, agent: Agent, number: int, rows: dict[str, Rows]) -> None:
        agent.assigned(number, {spec.name: self._decoded(spec, rows[spec.name]) for spec in agent.tables})

    async def _commit_others(self) -> None:
        """A suspect record may end the process. What others have done must not be done again at each start: intake
        would write one more copy of the record each time. The first time, what waits beside it is done first."""
        until_s = clock.boot_s() + OTHERS_S
        self._at_suspects += 1
        while not self._others_done and self._waiting() > self._at_suspects and clock.boot_s() < until_s:
            await asyncio.sleep(LOOK_S)
        self._at_suspects -= 1
        self._others_done = True
        await self.app.consumer.commit()

    def _rows(self, table: str, number: int) -> Rows:
        """The table's rows, restored up to the changelog's end."""
        name = self._tables[table].changelog_topic.get_topic_name()
        log_id = self.app.consumer.takeover.facts.ids.get(name, "")
        return Rows(self._tables[table], number, self.app.consumer.restored_to, log_id)

    def watermark_of(self, changelog: str) -> Callable[[bytes], int] | None:
        """How far a row of this changelog was folded, if its table says so."""
        specs = (spec for agent in self._agents.values() for spec in agent.tables)
        named = (s for s in specs if self._tables[s.name].changelog_topic.get_topic_name() == changelog)
        return next((spec.watermark for spec in named), None)

    def _refuse_ahead(self, agent: Agent, rows: dict[str, Rows], source: tuple[str, int]) -> None:
        end, first, where = self.ends.get(source), self.without_commit.get(source, 0), f"{source[0]}-{source[1]}"
        for spec in agent.tables:
            if spec.watermark is None or end is None:
                continue
            highest = self._highest(spec.watermark, rows[spec.name])
            if highest >= end:
                die(f"table {spec.name} is ahead of {where}: the topic was re-created", CONFIG)
            if highest >= 0 and first:
                told = (
                    f"rows of {spec.name} know inputs of {where} up to {highest}, but no commit and no position is left"
                )
                die(f"{told}, and the log begins at {first}: set the group's offsets (runbook topics-replaced)", CONFIG)

    def _highest(self, watermark: Callable[[bytes], int], rows: Rows) -> int:
        """How far the table's rows were folded; -1 if it has none."""
        restore = self._restore_of(rows)
        known = restore.highest() if restore else None
        return self._read_highest(watermark, rows) if known is None else known

    def _read_highest(self, watermark: Callable[[bytes], int], rows: Rows) -> int:
        """Of every row; many of them take longer than a process may make no progress."""
        highest = -1
        for number, (_, row) in enumerate(rows.items()):
            highest = max(highest, watermark(row))
            if number % PROGRESS_ROWS == 0:
                self.progressed()
        return highest

    def _restore_of(self, rows: Rows) -> Restore | None:
        found: Restore | None = self.app.consumer.restores.of((rows.changelog, rows.partition))
        return found

    def _decoded(self, spec: TableSpec[Any], rows: Rows) -> Iterator[tuple[bytes, Any]]:
        """Without rows that cannot be decoded: what is wrong with one concerns whoever asks for it."""
        for key, value in rows.items():
            try:
                row = spec.decode(value)
            except UNREADABLE_ROW as error:
                _log.error("row.unreadable", table=spec.name, partition=rows.partition, error=type(error).__name__)
                continue
            yield key, row

    async def let_go(self) -> None:
        """Finish every cycle under way; nothing of ours runs afterwards."""
        runners, self._partitions = list(self._partitions.values()), {}
        await asyncio.gather(*(runner.close() for runner in runners))
