"""Planted faults: what the harness must find. The harness's worker applies the one that CHAOS_PLANT
names (see `worker`).

Each patch takes one cure out of the worker before it starts; the kinds are the faults that bring it to light.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from app.domain.model.vocabulary import CreateResult, ErrorClass, Intent
from ops.chaos import kind_plants, poison_plants


@dataclass(frozen=True)
class Plant:
    """`kinds`: faults that show it; `faults`: so many of them."""

    patch: Callable[[], None]
    kinds: tuple[str, ...]
    faults: int


def _unsafe(*names: str) -> None:
    """The engine's own switches, made for its tests."""
    from app.streams import worker

    inner = worker._engine_config

    def config(settings: Any) -> Any:
        return replace(inner(settings), unsafe=frozenset(names))

    worker._engine_config = config


def changelog_not_awaited() -> None:
    """Rows go to the store and effects start while their changelog records wait in a buffer."""
    from app.streams.engine.producer import AppendResult, LeasedProducer

    _unsafe("foreign")
    inner, known = LeasedProducer.changelog, dict[tuple[str, int], AppendResult]()
    running: set[asyncio.Task[None]] = set()

    async def changelog(self: Any, topic: str, partition: int, rows: Any) -> AppendResult:
        async def send() -> None:
            await asyncio.sleep(2.0)
            known[topic, partition] = await inner(self, topic, partition, rows)

        task = asyncio.ensure_future(send())
        running.add(task)
        task.add_done_callback(running.discard)
        return known.get((topic, partition), AppendResult(-1, 0))

    LeasedProducer.changelog = changelog  # type: ignore[method-assign]


def row_guard_off() -> None:
    """A redelivered input is folded again."""
    from app.streams.agents import contact_fold

    inner = contact_fold.fold  # type: ignore[attr-defined]

    def fold(contact: Any, rows: Any, record: Any, place: Any) -> Any:
        unguarded = None if contact is None else msgspec.structs.replace(contact, watermark=-1)
        return inner(unguarded, rows, record, place)

    contact_fold.fold = fold  # type: ignore[attr-defined]


def store_before_changelog() -> None:
    """The local store is written before the changelog's acknowledgement."""
    from app.streams.engine.row_writer import RowWriter

    async def store(self: Any, encoded: Any) -> None:
        for table, changed in encoded.items():
            rows = self._rows[table]
            rows.write(changed, int(rows._db.get(b"__faust\0offset__") or -1), 0)
            await asyncio.sleep(0.5)  # most kills come now
            rows.write((), *await self._put(rows, changed))

    RowWriter.store = store  # type: ignore[method-assign]


def lease_off() -> None:
    """A former owner goes on as if nothing had happened."""
    _unsafe("lease", "foreign")


def outputs_after_rows() -> None:
    """Rows that make an input look done, before its outputs."""
    from app.streams.engine.row_writer import RowWriter

    _unsafe("rows_first")
    inner = RowWriter.store

    async def store(self: Any, encoded: Any) -> None:
        await inner(self, encoded)
        await asyncio.sleep(0.3)  # most kills come now

    RowWriter.store = store  # type: ignore[method-assign]


def resend_on_timeout() -> None:
    """No answer is taken for a refusal."""
    from app.streams.sending import calls

    inner = calls._words

    def words(result: Any) -> dict[str, object]:
        told = inner(result)
        if told["answer"] is CreateResult.DOUBTFUL:
            told |= {"answer": CreateResult.REFUSED, "error": ErrorClass.TRANSIENT, "code": None}
        return told

    calls._words = words


def effects_before_rows() -> None:
    """Calls start when the fold is done, before anything of it is durable."""
    from app.streams.engine import failpoints
    from app.streams.engine.cycle import Overlay, Partition  # type: ignore[attr-defined]

    async def cycle(self: Any) -> None:
        overlay = Overlay(self.agent.tables, self._rows)
        await self._fold(overlay)
        self.agent.tick(self.number, overlay)
        self.agent.settled(self.number, overlay.changed)
        await self._shared.producer.send_all(overlay.outputs)
        await asyncio.sleep(0.05)  # time for a call to leave
        failpoints.reach("after_outputs")
        await self.writer.store(self._encoded(overlay))
        failpoints.reach("after_rows")
        self._settle()

    Partition._cycle = cycle  # type: ignore[method-assign]


def answer_dropped() -> None:
    """An answer that comes while Kafka is away is forgotten: no heartbeat was accepted lately."""
    from app.streams.sending.result_journal import ResultJournal

    inner = ResultJournal.put

    async def put(self: Any, partition: int, answered: Any) -> None:
        lease = self._send.__self__.lease
        if lease.left_s() < lease.length_s * 0.7:
            return
        await inner(self, partition, answered)

    ResultJournal.put = put  # type: ignore[method-assign]


def start_overtakes_stop() -> None:
    """Consent by order of arrival, not by time of receipt."""
    from app.domain.handlers import consent as optout

    def opted_out_after(consent: Any, stop_or_start: Any, source: str) -> bool:
        return bool(stop_or_start.intent is Intent.STOP)

    optout.opted_out_after = opted_out_after  # type: ignore[attr-defined]


def every_second_ask_dropped() -> None:
    """Of the requests for permits every second one does not reach the lane: half of the messages are never sent."""
    from app.domain.model.effects import PermitRequest
    from app.domain.rules.decision_context import DecisionContext

    inner, count = DecisionContext.effect, itertools.count()

    def effect(self: Any, decided: Any) -> None:
        if not isinstance(decided, PermitRequest) or next(count) % 2:
            inner(self, decided)

    DecisionContext.effect = effect  # type: ignore[assignment, method-assign]


PLANTS = {
    "changelog_not_awaited": Plant(changelog_not_awaited, ("worker_kill",), 4),
    "row_guard_off": Plant(row_guard_off, ("worker_kill", "kill_after_rows"), 6),
    "store_before_changelog": Plant(store_before_changelog, ("worker_kill",), 6),
    "lease_off": Plant(lease_off, ("pause_after_outputs",), 6),
    "outputs_after_rows": Plant(outputs_after_rows, ("worker_kill",), 6),
    "resend_on_timeout": Plant(resend_on_timeout, ("accept_then_late",), 3),
    "effects_before_rows": Plant(effects_before_rows, ("kill_unheard",), 3),
    "answer_dropped": Plant(answer_dropped, ("kafka_cut_slow_answers",), 4),
    "start_overtakes_stop": Plant(start_overtakes_stop, ("worker_term",), 2),
    "texts_counted_again": Plant(kind_plants.texts_counted_again, ("webhooks_replayed",), 2),
    "recreated_topics_taken": Plant(kind_plants.recreated_topics_taken, ("topic_recreated",), 1),
    "every_second_ask_dropped": Plant(every_second_ask_dropped, ("callback_duplicate",), 1),
    "read_uncommitted": Plant(poison_plants.read_uncommitted, ("poison_transactions",), 1),
    "holes_at_markers": Plant(poison_plants.holes_at_markers, ("poison_transactions",), 1),
    "gzip_alone": Plant(poison_plants.gzip_alone, ("poison_codecs",), 1),
    "header_names_in_utf8_alone": Plant(poison_plants.header_names_in_utf8_alone, ("poison_headers",), 1),
    "null_headers_raise": Plant(poison_plants.null_headers_raise, ("poison_headers",), 1),
    "unbounded_inflation": Plant(poison_plants.unbounded_inflation, ("poison_inflation",), 1),
    "dead_letters_not_cut": Plant(poison_plants.dead_letters_not_cut, ("poison_inflation",), 1),
    "no_row_limit": Plant(poison_plants.no_row_limit, ("poison_oversized",), 1),
    "campaigns_in_line": Plant(poison_plants.campaigns_in_line, ("poison_campaign",), 1),
    "poison_guard_off": Plant(poison_plants.poison_guard_off, ("poison_deadly",), 1),
    "cycles_not_contained": Plant(poison_plants.cycles_not_contained, ("poison_refused_output",), 1),
}
