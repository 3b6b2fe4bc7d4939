"""Writing: one batch of one partition per transaction, with the offset behind it, so that each record counts once.

Transactions run one after another, by a lock on the row of `heliograph_read_model`: partitions of both topics share
rows, and PostgreSQL may still end the transaction of a writer that was killed when the next one begins. A writer that
then finds another offset than its own has lost the partition to another one, and its transaction is rolled back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.errors import HeliographError
from app.read_model.state import AttemptState, MessageState
from app.read_model.tables import messages, offsets, read_models

_JSON: Mapping[str, Any] = {
    "attempts": tuple[AttemptState, ...],
    "times": dict[str, str],
    "final_attempts": MessageState.__annotations__["final_attempts"],
}
_encode = msgspec.json.Encoder().encode
_decoders = {name: msgspec.json.Decoder(kind).decode for name, kind in _JSON.items()}
Change = Callable[[MessageState], MessageState]
# SQLite, which has one writer at a time, leaves out the FOR UPDATE.
_LOCK = sa.select(read_models.c.id).with_for_update()
# What writing a row raises because of the values in it: the same rows would be refused again. Not `DBAPIError` as a
# whole, to which belongs a database that is away. The driver of SQLite raises the last two as they are.
REFUSED_DATA = (sa.exc.DataError, sa.exc.IntegrityError, OverflowError, UnicodeError)
# What decoding a row raises that is none of ours, or another build's.
UNREADABLE_STATE = (msgspec.MsgspecError, TypeError)
# Bind parameters of one SELECT.
MOST_IDS = 500


class StoredPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class OtherWriterError(HeliographError):
    """Another process writes this read model."""


class Store:
    """One generation of rows. `place`s and their offsets, then batches; for one writer."""

    def __init__(self, engine: sa.Engine, generation: int) -> None:
        self._engine, self.generation = engine, generation
        insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        made = insert(messages)
        kept = {c.name: made.excluded[c.name] for c in messages.columns if not c.primary_key}
        self._upsert = made.on_conflict_do_update(index_elements=["message_id", "generation"], set_=kept)

    def of_generation(self, generation: int) -> "Store":
        """The same database's rows of another generation."""
        return Store(self._engine, generation)

    def next_offsets(self) -> dict[StoredPartition, int]:
        """The offset of the next record to project, by partition; nothing where none was projected yet."""
        query = sa.select(offsets).where(offsets.c.generation == self.generation)
        with self._engine.connect() as connection:
            return {StoredPartition(row.topic, row.partition): row.next_offset for row in connection.execute(query)}

    def apply(
        self, place: StoredPartition, before: int | None, after: int, changes: Sequence[tuple[str, str, Change]]
    ) -> None:
        """One batch: `changes` are message id, tenant and what becomes of the row, in the order of the log.

        `before`, `after`: the partition's next offset as this writer left it (None: never), and behind this batch.
        Raises OtherWriterError if it is not there any more; one of `REFUSED_DATA` if the database refuses a value.
        """
        with self._engine.begin() as connection:
            connection.execute(_LOCK)
            self._move(connection, place, before, after)
            found = self._states(connection, {message_id for message_id, _, _ in changes})
            changed: dict[str, MessageState] = {}
            for message_id, tenant, change in changes:
                state = (
                    changed.get(message_id)
                    or found.get(message_id)
                    or MessageState(message_id=message_id, tenant=tenant)
                )
                if (after_state := change(state)) is not state:
                    changed[message_id] = after_state
            if changed:
                connection.execute(self._upsert, [self.row_of(state) for state in changed.values()])

    def _move(self, connection: sa.Connection, place: StoredPartition, before: int | None, after: int) -> None:
        named = {"generation": self.generation, "topic": place.topic, "partition": place.partition}
        if before is None:
            try:
                connection.execute(offsets.insert(), {**named, "next_offset": after})
            except sa.exc.IntegrityError:
                raise OtherWriterError(f"{place.topic}-{place.partition}") from None
            return
        conditions = [offsets.c[name] == value for name, value in named.items()]
        statement = offsets.update().where(*conditions, offsets.c.next_offset == before).values(next_offset=after)
        if connection.execute(statement).rowcount != 1:
            raise OtherWriterError(f"{place.topic}-{place.partition}")

    def _states(self, connection: sa.Connection, ids: Iterable[str]) -> dict[str, MessageState]:
        named, found = sorted(ids), dict[str, MessageState]()
        for start in range(0, len(named), MOST_IDS):
            wanted = messages.c.message_id.in_(named[start : start + MOST_IDS])
            query = sa.select(messages).where(messages.c.generation == self.generation, wanted)
            found |= {row.message_id: state_of(row) for row in connection.execute(query)}
        return found

    def row_of(self, state: MessageState) -> dict[str, Any]:
        """Values by column, as they are written. Raises OverflowError for an integer that msgspec cannot encode."""
        row = msgspec.structs.asdict(state)
        return {**row, **{name: _encode(row[name]).decode() for name in _JSON}, "generation": self.generation}

    def caught_up(self, now_ms: int) -> int:
        """Note that every record up to now is projected. Returns the generation that is read by now: another one than
        this store's once a rebuild has ended."""
        with self._engine.begin() as connection:
            connection.execute(read_models.update().values(caught_up_ms=now_ms))
            return int(connection.execute(sa.select(read_models.c.generation)).scalar_one())

    def forget(self, before_ms: int, most: int) -> int:
        """Delete at most so many rows that were last changed before this time (ms), and rows of old generations.
        Returns how many."""
        current = sa.select(read_models.c.generation).scalar_subquery()
        old = sa.or_(messages.c.changed_ms < before_ms, messages.c.generation < current)
        keys = sa.select(messages.c.generation, messages.c.message_id).where(old).limit(most).subquery()
        pair = sa.tuple_(messages.c.generation, messages.c.message_id)
        with self._engine.begin() as connection:
            connection.execute(offsets.delete().where(offsets.c.generation < current))
            return int(connection.execute(messages.delete().where(pair.in_(sa.select(keys)))).rowcount)

    def publish(self, now_ms: int, since_ms: int) -> None:
        """From here on this generation is the one that is read. `since_ms`: log time of its oldest record."""
        values = {"generation": self.generation, "caught_up_ms": now_ms, "since_ms": since_ms}
        with self._engine.begin() as connection:
            connection.execute(read_models.update().values(**values))

    def discard(self) -> None:
        """Delete what an unfinished rebuild left of this generation."""
        with self._engine.begin() as connection:
            for table in (offsets, messages):
                connection.execute(table.delete().where(table.c.generation == self.generation))


def state_of(row: sa.Row[Any]) -> MessageState:
    """A row of table `heliograph_messages` as it was written."""
    values = {name: value for name, value in row._mapping.items() if name != "generation"}
    return MessageState(**{**values, **{name: _decoders[name](values[name]) for name in _JSON}})
