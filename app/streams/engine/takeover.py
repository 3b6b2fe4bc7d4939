"""What is looked at between the assignment of partitions and their first input: logs, stores and commits must be those
that belong together. Where they are not, the process ends (exit 78), and an operator must act."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faust.types.tuples import TP

from app.streams.engine.freshness import Freshness, StoreFacts, facts_of
from app.streams.engine.log_checks import refuse_deleted, refuse_recreated
from app.streams.engine.positions import Commit, Position, Source, begin_at, refusal
from app.streams.engine.process_exit import CONFIG, die
from app.streams.engine.store import is_new
from app.streams.engine.store_opening import open_store

# Between two attempts while the broker is away.
AGAIN_S = 0.2

_log = structlog.get_logger("app.streams.engine")


class Takeover:
    """`consumer`: the engine's, whose private names are used here too."""

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._engine = consumer, consumer.app.engine
        self.freshness, self.facts = Freshness(self._engine.producer), StoreFacts()

    # -- before the recovery

    async def freshen(self, assigned: Any) -> None:
        """Before the recovery asks the stores how far they are. While the broker is away it waits for it: the watchdog
        ends a process that waits for too long."""
        changelogs = {tp for tp in assigned if tp.topic in self._consumer.app.tables.changelog_topics}
        ends = await self._ends(assigned, changelogs)
        stores = {tuple(tp): self._store(tp) for tp in changelogs}
        # What Faust remembers of a former assignment is nothing of a store that was made anew meanwhile.
        new = [place for place, db in stores.items() if is_new(db)]
        for place in [*new, *await self.freshness.look(stores, ends, self.facts)]:
            self._consumer.app.tables.recovery.active_offsets.pop(TP(*place), None)

    async def _ends(self, assigned: Any, changelogs: set[Any]) -> dict[tuple[str, int], int]:
        names = {tp.topic for tp in changelogs}
        while True:
            try:
                self.facts = await facts_of(self._engine.client, {tp.topic for tp in assigned} - names, names)
                found = await self._consumer.highwaters(*changelogs) if changelogs else {}
                return {tuple(tp): end or 0 for tp, end in found.items()}
            except KafkaError as error:
                _log.warning("topics.unknown", error=type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    def _store(self, tp: Any) -> Any:
        """RocksDB of a changelog partition, opened (see `open_store`)."""
        return open_store(self._consumer.app.tables._changelogs[tp.topic].data, tp.partition)

    # -- before the first input

    async def begin(self) -> dict[Any, int]:
        """Where each source partition goes on: at its commit, else at its position, else where the log begins; sought.

        aiokafka seeks nothing where there is no commit, and what was fetched before now is thrown away.
        """
        tps = self._consumer.sources()
        firsts = await self._consumer.earliest_offsets(*tps) if tps else {}
        sources = await self._sources(firsts)
        if why := next((why for source in sources if (why := refusal(source))), ""):
            die(why, CONFIG)
        await self._refuse_recreated(sources)
        begins = {TP(*source.place): begin_at(source) for source in sources}
        if "holes" not in self._engine.unsafe:
            refuse_deleted(begins, firsts)
        self._engine.without_commit = {s.place: s.now.first for s in sources if s.commit is None and s.before is None}
        self._engine.positions.take(sources)
        await self._engine.positions.write({})
        for source in sources:
            if source.commit is None:
                await self._consumer._seek(TP(*source.place), begins[TP(*source.place)])
        return begins

    async def _sources(self, firsts: Mapping[Any, int]) -> list[Source]:
        places = [tuple(tp) for tp in firsts]
        commits = await self._consumer.commits(list(firsts))
        before = await self._engine.positions.read(self._engine.client, places)
        return [self._source(tp, first, commits.get(tp), before.get(tuple(tp))) for tp, first in sorted(firsts.items())]

    def _source(self, tp: Any, first: int, commit: Commit | None, before: Position | None) -> Source:
        ids = self.facts.ids
        logs = {log: ids[log] for log in self._engine.changelogs_of(tp.topic) if log in ids}
        known = commit or before
        offset = known.offset if known else first
        now = Position(offset=offset, first=first, topic_id=ids.get(tp.topic, ""), changelogs=logs)
        return Source(tuple(tp), now, commit, before, self._engine.guarded(tp.topic))

    async def _refuse_recreated(self, sources: list[Source]) -> None:
        tps = [TP(*source.place) for source in sources]
        ends = await self._consumer.highwaters(*tps) if tps else {}
        refuse_recreated({TP(*s.place): s.commit.offset for s in sources if s.commit}, ends)
        await self._refuse_emptied(sources)
        self._engine.ends = {(tp.topic, tp.partition): end for tp, end in ends.items() if end is not None}

    async def _refuse_emptied(self, sources: list[Source]) -> None:
        """Inputs were folded and no row is left of them: whoever was opted out would be texted again."""
        for topic, changelog in self._engine.vital():
            folded = any(s.now.offset for s in sources if s.place[0] == topic and (s.commit or s.before))
            places = [TP(changelog, number) for number in range(self._consumer.app.conf.topic_partitions)]
            if folded and not any((await self._consumer.highwaters(*places)).values()):
                die(f"{changelog} is empty, but inputs of {topic} were folded: the changelog was re-created", CONFIG)
