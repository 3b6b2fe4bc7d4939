"""A record whose values no row can hold is counted and passed over: the other ones of its batch are projected."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from app.read_model import projection as module
from app.read_model.bounds import find_violation
from app.read_model.projection import Projection
from app.read_model.store import Store, StoredPartition
from app.read_model.tables import messages
from app.records.outcomes import NotifyOutcome, Recipient
from app.records.updates import NotifyUpdated
from tests.support.projected import KEY, outcome, update

OUTCOMES = StoredPartition("notify.outcomes", 0)
LONG = "x" * 300


def message(n: int) -> str:
    return f"{n:020x}-{n:020x}"


def changed(n: int, **fields: Any) -> NotifyOutcome:
    return msgspec.structs.replace(outcome(1, message=message(n)), **fields)


def moved(n: int, **fields: Any) -> NotifyUpdated:
    return msgspec.structs.replace(update(n, "opened", "waiting", message=message(n)), **fields)


# By the column that cannot hold the record.
BROKEN: list[tuple[str, NotifyOutcome | NotifyUpdated]] = [
    ("revision", changed(1, revision=1 << 31)),
    ("revision", changed(2, revision=1 << 63)),
    ("message_id", changed(4, message_id="m" * 42)),
    ("tenant", changed(5, tenant="a\0b")),
    ("masked", changed(6, recipient=Recipient(sealed="s", masked=LONG))),
    ("requested_at", changed(7, requested_at=LONG)),
    ("final_at", changed(8, final_at="a\0b")),
    ("request_digest", changed(9, request_digest=LONG)),
    ("stage", moved(10, state=LONG)),
    ("stage_reason", moved(11, reason=LONG)),
    ("masked", moved(13, masked="a\0b")),
]


async def written(engine: sa.Engine, values: list[NotifyOutcome | NotifyUpdated]) -> Projection:
    """These records in one batch."""
    made = Projection([OUTCOMES.topic], {"bootstrap_servers": "127.0.0.1:1"}, Store(engine, 1), KEY, 1000)
    records = [
        SimpleNamespace(value=msgspec.json.encode(value), timestamp=1, offset=at, **OUTCOMES._asdict())
        for at, value in enumerate(values)
    ]
    try:
        await made._write(OUTCOMES, records)
    finally:
        await made.stop()
    return made


def known(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(sa.select(messages.c.message_id)))


def test_records_that_no_row_can_hold_are_named_and_passed_over(engine: sa.Engine) -> None:
    batch = [changed(100), *(record for _, record in BROKEN), changed(101)]
    with capture_logs() as logs:
        made = asyncio.run(written(engine, batch))
    assert [log["field"] for log in logs if log["event"] == "read_model.unreadable"] == [field for field, _ in BROKEN]
    assert known(engine) == {message(100), message(101)}
    assert (made.unreadable, made.store.next_offsets()) == (len(BROKEN), {OUTCOMES: len(batch)})


def test_a_record_that_the_database_refuses_is_passed_over_and_its_batch_is_projected(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a bound were missing: 64 bits are too few for this integer in both databases."""
    monkeypatch.setattr(module, "find_violation", lambda _row: None)
    with capture_logs() as logs:
        made = asyncio.run(written(engine, [changed(1), changed(2, revision=1 << 63), changed(3)]))
    [refused] = [log for log in logs if log["event"] == "read_model.unreadable"]
    assert (refused["offset"], refused["rule"].partition(" (")[0]) == (1, "is refused by the database")
    assert known(engine) == {message(1), message(3)}
    assert (made.unreadable, made.store.next_offsets()) == (1, {OUTCOMES: 3})


def test_a_database_that_is_away_counts_no_record_as_unreadable(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE heliograph_messages"))
    with pytest.raises(sa.exc.DBAPIError), capture_logs() as logs:
        asyncio.run(written(engine, [changed(1)]))
    assert not [log for log in logs if log["event"] == "read_model.unreadable"]


@pytest.mark.parametrize(("name", "most"), [("revision", (1 << 31) - 1), ("error_code", (1 << 63) - 1)])
def test_the_largest_integer_of_a_column_is_no_violation(name: str, most: int) -> None:
    assert (find_violation({name: most}), find_violation({name: -most - 1})) == (None, None)
    assert find_violation({name: most + 1}) and find_violation({name: -most - 2})
