"""Projects `notify.updates` and `notify.outcomes` into the store, from the offsets in the database.

There is no consumer group: the database holds the offsets and writes them in the transaction of the rows. A record that
cannot be decoded, or whose values no row can hold, is counted and skipped. An unavailable database ends the process;
the next start continues from the stored offsets.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from app import clock, telemetry
from app.kafka.batch_fetching import read_in_turns
from app.read_model.bounds import find_violation
from app.read_model.state import MessageState, after_outcome, after_update, key_hash
from app.read_model.store import REFUSED_DATA, Change, Store, StoredPartition
from app.records.codec import InvalidFieldError, decode
from app.records.numbers import NotifyNumberChanged
from app.records.outcomes import NotifyOutcome
from app.records.updates import NotifyUpdated

log = telemetry.logger(__name__)

# Limit of records in one transaction and in memory; wait for records in ms.
BATCH, POLL_MS = 500, 500
EMPTY_POLLS = 20
NOTE_S, FORGET_S, FORGET_ROWS = 1.0, 60.0, 2000
STALLED_MS = 60_000
# Message id, tenant, and what becomes of the message's row.
RowChange = tuple[str, str, Change]
_decoder = msgspec.json.Decoder(NotifyUpdated | NotifyNumberChanged | NotifyOutcome)


class Projection:
    """Start, then `run` until cancelled, or `read_to_end`.

    `topics`: names; `keep_ms`: age in ms, counted from its last change, at which a row is deleted. `unreadable`,
    `projected`: number of records so far; `lag`: records not projected yet, when last measured; `oldest_ms`: log time
    of the oldest record that was projected.
    """

    def __init__(
        self, topics: Sequence[str], client: dict[str, Any], store: Store, pseudonym_key: bytes, keep_ms: int
    ) -> None:
        self.topics, self._key, self._keep_ms = topics, pseudonym_key, keep_ms
        self.store = store
        self._next: dict[StoredPartition, int] = {}
        self._noted_s = self._forgot_s = 0.0
        self._alive_ms = clock.now_ms()
        self.unreadable = self.projected = self.lag = 0
        self.oldest_ms = 0
        self._consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            # Records that retention deleted while no writer ran are lost to the projection.
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            **client,
        )

    def alive(self) -> str:
        """Describe a problem with progress, for the health check; "" if there is none."""
        return "no progress" if clock.now_ms() - self._alive_ms > STALLED_MS else ""

    async def start(self) -> None:
        """Assign every partition, each at its offset. Raises KafkaError without a broker."""
        await self._consumer.start()
        read_in_turns(self._consumer, BATCH)
        places = []
        for topic in self.topics:
            await self._consumer._client.add_topic(topic)
            places += [TopicPartition(topic, n) for n in sorted(self._consumer.partitions_for_topic(topic) or ())]
        self._consumer.assign(places)
        await self._seek()

    async def _seek(self) -> None:
        """Seek to the stored offsets. A gap that retention left is logged as a warning."""
        places = list(self._consumer.assignment())
        self._next = await asyncio.to_thread(self.store.next_offsets)
        begins, ends = await self._consumer.beginning_offsets(places), await self._consumer.end_offsets(places)
        for place in places:
            wanted = self._next.get(StoredPartition(place.topic, place.partition), begins[place])
            if not begins[place] <= wanted <= ends[place]:
                log.warning("read_model.gap", topic=place.topic, partition=place.partition, wanted=wanted)
            self._consumer.seek(place, wanted if begins[place] <= wanted <= ends[place] else begins[place])

    async def run(self) -> None:
        """Project records until cancelled. Raises KafkaError; SQLAlchemyError while the database is away."""
        while True:
            await self._project(await self._consumer.getmany(timeout_ms=POLL_MS))
            if await self._behind() == 0:
                await self._note()
            await self._forget()
            self._alive_ms = clock.now_ms()

    async def read_to_end(self) -> None:
        """Project all records up to the end offsets at the time of the call."""
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        empty = 0
        # A partition may end in a gap without records, and a poll then returns nothing, however often it is repeated.
        while await self._behind(ends) and empty < EMPTY_POLLS:
            fetched = await self._consumer.getmany(timeout_ms=POLL_MS)
            empty = 0 if fetched else empty + 1
            await self._project(fetched)

    async def _behind(self, ends: Mapping[Any, int] | None = None) -> int:
        """Number of records that are not projected: up to `ends`, else up to the last known stable offsets. A partition
        without a fetch yet counts as 1."""
        left = 0
        for place in self._consumer.assignment():
            end = ends[place] if ends is not None else self._consumer.last_stable_offset(place)
            at = await self._consumer.position(place)
            left += 1 if end is None else max(0, end - at)
        self.lag = left
        return left

    async def _project(self, fetched: Mapping[Any, Sequence[Any]]) -> None:
        for where, records in fetched.items():
            place = StoredPartition(where.topic, where.partition)
            for start in range(0, len(records), BATCH):
                await self._write(place, records[start : start + BATCH])

    async def _write(self, place: StoredPartition, records: Sequence[Any]) -> None:
        await self._apply(place, [(record, self._change(record)) for record in records])
        self.projected += len(records)
        first = records[0].timestamp
        self.oldest_ms = min(self.oldest_ms or first, first)

    async def _apply(self, place: StoredPartition, changes: Sequence[tuple[Any, RowChange | None]]) -> None:
        """Apply changes in one transaction; if the database rejects a value, each alone, without the rejected one."""
        after = changes[-1][0].offset + 1
        rows = [change for _, change in changes if change is not None]
        try:
            await asyncio.to_thread(self.store.apply, place, self._next.get(place), after, rows)
        except REFUSED_DATA as error:
            if len(changes) > 1:
                for one in changes:
                    await self._apply(place, [one])
                return
            self._pass_over(changes[0][0], "value", f"is refused by the database ({type(error).__name__})")
            await asyncio.to_thread(self.store.apply, place, self._next.get(place), after, [])
        self._next[place] = after

    def _change(self, record: Any) -> RowChange | None:
        try:
            parsed = decode(_decoder, record.value)
            if isinstance(parsed, NotifyNumberChanged):
                return None
            change = parsed.message_id, parsed.tenant, self._folded(parsed, record.timestamp)
            self._check_bounds(change)
        except InvalidFieldError as bad:
            self._pass_over(record, bad.field, bad.rule)
            return None
        return change

    def _check_bounds(self, change: RowChange) -> None:
        """Raises InvalidFieldError if no row can hold the record: a new row would take all of its values."""
        message_id, tenant, folded = change
        try:
            row = self.store.row_of(folded(MessageState(message_id=message_id, tenant=tenant)))
        except OverflowError:
            raise InvalidFieldError("value", "has an integer of more than 64 bits") from None
        if violation := find_violation(row):
            raise InvalidFieldError(*violation)

    def _pass_over(self, record: Any, field: str, rule: str) -> None:
        self.unreadable += 1
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        log.warning("read_model.unreadable", field=field, rule=rule, **place)

    def _folded(self, parsed: NotifyUpdated | NotifyOutcome, at_ms: int) -> Change:
        given = parsed.idempotency_key
        hashed = key_hash(self._key, parsed.tenant, given) if given else ""

        def change(state: MessageState) -> MessageState:
            if isinstance(parsed, NotifyUpdated):
                return after_update(state, parsed, hashed, at_ms)
            return after_outcome(state, parsed, hashed, at_ms)

        return change

    async def _note(self) -> None:
        """Store that the projection has caught up, for readers. Switch to the new generation after a rebuild."""
        if clock.boot_s() - self._noted_s < NOTE_S:
            return
        self._noted_s = clock.boot_s()
        generation = await asyncio.to_thread(self.store.caught_up, clock.now_ms())
        if generation != self.store.generation:
            log.info("read_model.generation", generation=generation)
            self.store = self.store.of_generation(generation)
            await self._seek()

    async def _forget(self) -> None:
        """Delete old rows, a limited number at a time."""
        if clock.boot_s() - self._forgot_s < FORGET_S:
            return
        if await asyncio.to_thread(self.store.forget, clock.now_ms() - self._keep_ms, FORGET_ROWS) < FORGET_ROWS:
            self._forgot_s = clock.boot_s()

    async def stop(self) -> None:
        """Stop the consumer of the projection."""
        await self._consumer.stop()
