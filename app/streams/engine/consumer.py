"""The consumer: one Faust message per fetched slice, a commit book that never passes a hole, bulk recovery.

Private names of faust and aiokafka are used here; `tests/contracts` holds a test that names every one of them.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NoReturn

import structlog
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, ConsumerMessage

from app.kafka.partition_batches import BatchPart
from app.streams.engine import failpoints
from app.streams.engine.backlog import Slice
from app.streams.engine.consumer_thread import ConsumerThread
from app.streams.engine.freshness import followed_ms
from app.streams.engine.log_checks import refuse_deleted
from app.streams.engine.offset_tracker import OffsetTracker
from app.streams.engine.positions import Commit, read_metadata
from app.streams.engine.process_exit import die
from app.streams.engine.restore import Restore, Restores
from app.streams.engine.store import ChangelogProgress, is_new, write_rows
from app.streams.engine.takeover import Takeover

# Slices fetched and not folded yet, over all partitions, and what their records count (see `Taken.size`): bounds
# memory, and what a rebalance throws away.
MAX_WAITING, MAX_WAITING_BYTES = 16, 16 << 20
# A look for records lasts this long when there are none; whoever wants to seek waits for its end.
LOOK_S = 0.1

_log = structlog.get_logger("app.streams.engine")


class Consumer(driver.Consumer):  # type: ignore[misc] # faust is Any here
    """The consumer that Faust is given in place of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._books: dict[Any, OffsetTracker] = {}
        self._restored: dict[tuple[str, int], int] = {}
        self.takeover = Takeover(self)
        self.restores = Restores()
        self._fetching = False
        self._drainer: Any = None
        self.waiting, self._waiting_bytes, self.taking_over = 0, 0, False
        self._room = asyncio.Event()
        self._room.set()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- fetching

    async def _drain_messages(self, fetcher: Any) -> None:
        """Replaces Faust's loop, which makes four tasks per record and waits for seconds where we must not.

        Cancelled because it is to stop it ends in order: Faust takes it for a crash of the whole app, if the group
        rebalances just then, and its consumer thread ends before those who still ask it.
        """
        try:
            await self._drain(fetcher)
        except asyncio.CancelledError:
            if not fetcher.should_stop:
                raise

    async def _drain(self, fetcher: Any) -> None:
        self._drainer = asyncio.current_task()
        while not (self.should_stop or fetcher.should_stop):
            self._fetching = False
            if not self.flow_active:
                await self.wait(self.can_resume_flow)
                continue
            await self._room.wait()
            self._fetching = True
            # A copy: when Faust empties the live set, aiokafka takes it as "all" and Faust drops the records.
            active = frozenset(self._get_active_partitions())
            if not active:
                self._fetching = False
                await asyncio.sleep(0.01)
                continue
            generation = self.app.consumer_generation_id
            try:
                fetched = await self._getmany(active, timeout=LOOK_S)
            except self.consumer_stopped_errors:
                if self.should_stop or self.transport.app.should_stop:
                    return
                raise
            for tp, taken in fetched.items():
                if self.flow_active and generation == self.app.consumer_generation_id and tp in active:
                    await self._deliver(tp, taken)

    async def _deliver(self, tp: Any, taken: BatchPart) -> None:
        recovery = self.app.tables.recovery
        if tp in recovery.active_tps and taken.records:
            await self._restore(recovery, tp, taken.records)
        elif self.app.topics.acks_enabled_for(tp.topic):
            await self._slice(tp, taken)

    async def _restore(self, recovery: Any, tp: Any, records: list[Any]) -> None:
        """Changelog records straight into one WriteBatch; the last takes Faust's path too, which ends the recovery."""
        last = records[-1]
        db = recovery.tp_to_table[tp].data._db_for_partition(tp.partition)
        watermark_of = self.app.engine.watermark_of
        new = lambda: Restore(db.get, watermark_of(tp.topic), is_new(db))  # noqa: E731 - asked for the first slice alone
        restore = self.restores.begin((tp.topic, tp.partition), new)
        end, began_ms = (
            recovery.active_highwaters.get(tp),
            self.takeover.freshness.read_ms.get((tp.topic, tp.partition), 0),
        )
        at_ms = followed_ms(last.offset, last.timestamp, end, began_ms)
        followed = ChangelogProgress(at_ms, self.takeover.facts.ids.get(tp.topic, ""))
        write_rows(db, restore.rows(records).items(), last.offset, followed)
        self.restores.bound()
        self._restored[tp.topic, tp.partition] = last.offset
        failpoints.reach("during_recovery")
        self.app.engine.progressed()
        await self.callback(self._to_message(tp, last))

    async def _slice(self, tp: Any, taken: BatchPart) -> None:
        """Offsets without records (markers of transactions, batches of aborted ones) are done once they were read."""
        book = self._books.setdefault(tp, OffsetTracker())
        first = taken.first if book.expected is None else max(taken.first, book.expected)
        if book.expected is not None and first > book.expected and "holes" not in self.app.engine.unsafe:
            await self._refuse_hole(tp, book.expected, first)
        if taken.end <= first:
            return
        records = [r for r in taken.records if r.offset >= first] if first > taken.first else taken.records
        entry = book.delivered(first, taken.end - 1)
        if records:
            await self._deliver_slice(tp, entry, records, taken.size)
        else:
            OffsetTracker.done(entry)

    async def _refuse_hole(self, tp: Any, expected: int, got: int) -> NoReturn:
        refuse_deleted({tp: expected}, await self.earliest_offsets(tp))
        die(f"hole in {tp.topic}-{tp.partition}: expected {expected}, got {got}")

    async def _deliver_slice(self, tp: Any, entry: list[int], records: list[Any], size: int) -> None:
        counted = 0 if self.app.engine.background(tp.topic) else 1
        self._took(counted, counted * size)
        piece = Slice(records, entry[0], entry[1], lambda: self._slice_done(entry, counted, size))
        await self.callback(self._slice_message(tp, piece))

    def _slice_message(self, tp: Any, piece: Slice) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            piece.last,
            piece.records[-1].at_ms / 1000,
            0,
            (),
            None,
            piece,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def _slice_done(self, entry: list[int], counted: int, size: int) -> None:
        OffsetTracker.done(entry)
        self._took(-counted, -counted * size)
        if counted:
            self.app.engine.progressed()

    def _took(self, count: int, size: int) -> None:
        self.waiting += count
        self._waiting_bytes += size
        self._make_room()

    def _make_room(self) -> None:
        if self.waiting < MAX_WAITING and self._waiting_bytes < MAX_WAITING_BYTES:
            self._room.set()
        else:
            self._room.clear()

    def restored_to(self, changelog: str, number: int) -> int:
        """The offset up to which a changelog partition of ours is in the store."""
        end: int = self.app.tables.recovery.active_highwaters.get(TP(changelog, number), -1)
        return max(end, self._restored.get((changelog, number), -1))

    # -- commits

    def ack(self, message: Any) -> bool:
        """Faust's own acknowledgement of a slice's message says nothing: the cycle marks the book."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return [tp for tp in self._books if topics is None or tp in topics or tp.topic in topics]

    def _new_offset(self, tp: Any) -> int | None:
        return self._books[tp].committable()

    def busy(self, tp: Any) -> bool:
        """Whether a slice of a background agent's partition is not done; from any thread."""
        return self.app.engine.background(tp.topic) and bool(self._books.get(tp))

    def in_flight(self) -> int:
        """Slices delivered and not done."""
        return sum(len(book) for book in self._books.values())

    def committed(self) -> dict[Any, int]:
        """Committed offset by source partition, as far as known."""
        return {tp: offset for tp, offset in self._committed_offset.items() if tp in self._books and offset is not None}

    # -- seeks and rebalances

    async def perform_seek(self) -> None:
        """Seek with nothing in flight, then forget the book: what was fetched before the seek must not count.

        Faust seeks while its queues fill, then clears them: records fetched in between are lost (its worst fault).
        """
        if asyncio.current_task() is not self._drainer:
            self.stop_flow()
            while self._fetching and not self.should_stop:
                await asyncio.sleep(0.002)
        self._forget()
        self.restores.over()
        await super().perform_seek()
        await self._thread.call_thread(self._thread.pause_changelogs)
        beginnings = await self.takeover.begin()
        await self._learn_suspects(beginnings)
        for tp, offset in beginnings.items():
            self._books.setdefault(tp, OffsetTracker()).expected = offset
        await self.app.engine.handed_over()
        self.taking_over = False

    async def _learn_suspects(self, beginnings: Mapping[Any, int]) -> None:
        """Counts of deaths travel with the partition: read its last commit, and commit what is known here, before the
        record at fault is read again."""
        guard = self.app.engine.guard
        commits = await self._thread.call_thread(self._thread.commits, list(beginnings))
        told = {tp: read_metadata(at.metadata)[1] for tp, at in commits.items()}
        news = {}
        for tp, offset in beginnings.items():
            guard.learn(tp.topic, tp.partition, told.get(tp, ""), offset)
            if guard.metadata(tp.topic, tp.partition, offset) != told.get(tp, ""):
                news[tp] = offset
        if news:
            await self._thread.commit(news)

    def sources(self) -> set[Any]:
        """Partitions of ours that agents read."""
        return {tp for tp in self.assignment() if self.app.topics.acks_enabled_for(tp.topic)}

    async def commits(self, places: list[Any]) -> dict[Any, Commit]:
        """What the group committed of these partitions; those without a commit are left out."""
        found = await self._thread.call_thread(self._thread.commits, places)
        return {tp: Commit(at.offset, read_metadata(at.metadata)[0]) for tp, at in found.items()}

    def _forget(self) -> None:
        self._books.clear()
        self.waiting = self._waiting_bytes = 0
        self._make_room()

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """From here until they are handed over partitions are ours and not worked on: Faust's own word for it, in
        recovery, is true while the group waits for others too."""
        self.taking_over = bool(assigned)
        if assigned:
            await self.takeover.freshen(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Finish the cycles under way, commit what is done, then let go."""
        self.taking_over = False
        if revoked and not self.should_stop:
            self.stop_flow()
            self.app.flow_control.suspend()
            self.app.flow_control.clear()
            await self.app.engine.let_go()
            await self.commit()
        await super().on_partitions_revoked(revoked)
        self.app.engine.forget(revoked)
        self._forget()
        self._restored.clear()
        self.restores.clear()
