"""Rows and offsets in one transaction, on SQLite and on PostgreSQL."""

import threading

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from app.read_model.state import AttemptState, MessageState
from app.read_model.store import OtherWriterError, Store, StoredPartition
from app.read_model.tables import SchemaError, open_engine, prepare_tables, read_models

UPDATES = StoredPartition("notify.updates", 0)
ONE, TWO = "a" * 20 + "-" + "1" * 20, "a" * 20 + "-" + "2" * 20


def stage(word: str):
    return lambda state: replace(
        state, stage=word, attempts=(AttemptState(attempt=1, message_sid="SM1"),), changed_ms=7
    )


def rows(engine: sa.Engine, generation: int = 1) -> list[tuple[str, str]]:
    store = Store(engine, generation)
    with engine.connect() as connection:
        found = store._states(connection, [ONE, TWO])
    return sorted((state.message_id, state.stage) for state in found.values())


def test_a_row_is_read_as_it_was_written_and_the_offset_stands_behind_its_batch(engine: sa.Engine) -> None:
    store = Store(engine, 1)
    store.apply(
        UPDATES,
        None,
        3,
        [(ONE, "acme", stage("waiting")), (TWO, "acme", stage("waiting")), (ONE, "acme", stage("sent"))],
    )
    with engine.connect() as connection:
        [found] = store._states(connection, [ONE]).values()
    assert found == stage("sent")(MessageState(message_id=ONE, tenant="acme"))
    assert store.next_offsets() == {UPDATES: 3}


def test_a_batch_that_fails_leaves_neither_rows_nor_offset(engine: sa.Engine) -> None:
    store = Store(engine, 1)
    store.apply(UPDATES, None, 1, [(ONE, "acme", stage("waiting"))])

    def fails(state: MessageState) -> MessageState:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.apply(UPDATES, 1, 3, [(TWO, "acme", stage("waiting")), (ONE, "acme", fails)])
    assert (rows(engine), store.next_offsets()) == ([(ONE, "waiting")], {UPDATES: 1})


@pytest.mark.parametrize("before", [None, 2])
def test_a_second_writer_is_refused_and_changes_nothing(engine: sa.Engine, before: int | None) -> None:
    Store(engine, 1).apply(UPDATES, None, 5, [(ONE, "acme", stage("sent"))])
    with pytest.raises(OtherWriterError):
        Store(engine, 1).apply(UPDATES, before, 3, [(ONE, "acme", stage("waiting"))])
    assert rows(engine) == [(ONE, "sent")]


def test_old_rows_go_in_bites_and_the_others_stay(engine: sa.Engine) -> None:
    store = Store(engine, 1)
    store.apply(
        UPDATES,
        None,
        2,
        [(ONE, "acme", stage("sent")), (TWO, "acme", lambda s: replace(stage("sent")(s), changed_ms=9))],
    )
    assert [store.forget(9, 10), store.forget(9, 10)] == [1, 0]
    assert rows(engine) == [(TWO, "sent")]


def test_a_rebuild_is_seen_when_it_is_published_and_the_old_rows_go(engine: sa.Engine) -> None:
    old, new = Store(engine, 1), Store(engine, 2)
    old.apply(UPDATES, None, 1, [(ONE, "acme", stage("waiting"))])
    new.apply(UPDATES, None, 2, [(ONE, "acme", stage("sent"))])
    assert old.caught_up(1) == 1
    new.publish(2, 0)
    assert old.caught_up(3) == 2
    new.forget(0, 10)
    assert (rows(engine), rows(engine, 2), new.next_offsets()) == ([], [(ONE, "sent")], {UPDATES: 2})


def test_an_unfinished_rebuild_leaves_nothing_to_the_next_one(engine: sa.Engine) -> None:
    new = Store(engine, 2)
    new.apply(UPDATES, None, 1, [(ONE, "acme", stage("waiting"))])
    new.discard()
    assert (rows(engine, 2), new.next_offsets()) == ([], {})


def test_tables_of_another_schema_are_refused_with_one_line_and_not_touched(url: sa.URL, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(read_models.update().values(schema_version=7))
    other = open_engine(url)
    with pytest.raises(
        SchemaError, match="schema version 7, this build knows 1: drop its tables heliograph_"
    ) as refused:
        prepare_tables(other)
    other.dispose()
    assert "\n" not in str(refused.value)


def test_writers_of_two_topics_do_not_overwrite_each_others_columns_of_a_row(engine: sa.Engine) -> None:
    """As when the database still ends the transaction of a writer that was killed while the next one begins."""
    inside, go_on = threading.Event(), threading.Event()

    def held(state: MessageState) -> MessageState:
        inside.set()
        assert go_on.wait(20)
        return replace(state, stage="sent")

    def ended(state: MessageState) -> MessageState:
        return replace(state, outcome="delivered", revision=1)

    applied = [
        threading.Thread(target=Store(engine, 1).apply, args=(place, None, 1, [(ONE, "acme", change)]))
        for place, change in ((UPDATES, held), (StoredPartition("notify.outcomes", 0), ended))
    ]
    applied[0].start()
    assert inside.wait(20)
    applied[1].start()
    applied[1].join(0.3)  # it would end here if it were not kept waiting
    go_on.set()
    for thread in applied:
        thread.join(20)
    with engine.connect() as connection:
        [found] = Store(engine, 1)._states(connection, [ONE]).values()
    assert (found.stage, found.outcome) == ("sent", "delivered")
