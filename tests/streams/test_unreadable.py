"""What stands on the contact log and cannot be read is refused by field and rule, never with what it holds."""

import json
from collections import Counter

import pytest

from app.kafka.fingerprint import foremost
from app.records.topics import Topics
from app.streams.agents.caller_fields import without_key
from app.streams.agents.contact_fold import CONTACTS, MESSAGES, ContactFold
from app.streams.agents.contacts import ContactsAgent
from app.streams.agents.outputs import OutputBuilder
from app.streams.engine.agent import Input, Output, UnreadableRecordError
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole, set_aside
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.monitoring.in_doubt import AttemptsInDoubt
from tests.support.crashing import MemoryStore
from tests.support.given import KEY
from tests.support.histories import Table

GOOD = {
    "type": "contact.reported.v1",
    "id": "1",
    "tenant": "acme",
    "pk": "11111111",
    "at": 1,
    "message_id": f"{'a' * 20}-{KEY}",
    "attempt": 1,
    "sid": "SM1",
    "progress": 10,
    "status": "delivered",
}


def _letter(record: Input, field: str, rule: str) -> Output:
    return Output("dead", record.key, f"{field}:{rule}".encode())


def refused(value: bytes | None, key: bytes | None = b"a" * 20) -> tuple[str, str]:
    agent = ContactFold(OutputBuilder(Topics("", ""), without_key), _letter, "11111111")  # type: ignore[arg-type]
    with pytest.raises(UnreadableRecordError) as bad:
        agent.fold(Input("contacts", 0, 0, 1, key, value, []), Table(agent, checkpointed=False))
    return bad.value.field, bad.value.rule


@pytest.mark.parametrize(
    ("value", "told"),
    [(b"{broken +14155550123", ("value", "is not JSON in UTF-8")),
     (b"\xff\xfe", ("value", "is not JSON in UTF-8")),
     (b'{"x":' + b"[" * 100_000, ("value", "nests too deep")),
     (None, ("value", "must not be empty")),
     (json.dumps({**GOOD, "type": "contact.unheard_of.v1"}).encode(), ("type", "is not one of the known values")),
     (json.dumps({**GOOD, "attempt": "+14155550123"}).encode(), ("attempt", "expected `int`, got `str`"))],
)  # fmt: skip
def test_a_record_that_cannot_be_read_names_the_field_and_the_rule(value: bytes | None, told: tuple[str, str]) -> None:
    assert refused(value) == told


@pytest.mark.parametrize("key", [None, b"", b"+14155550123", b"\xff" * 20, b"A" * 20, b"a" * 21, b"a" * 20 + b"\n"])
def test_a_key_that_is_no_contact_id_is_refused_and_freezes_nothing(key: bytes | None) -> None:
    due = {"type": "contact.due.v1", "id": "1", "tenant": "acme", "pk": "11111111", "at": 1, "message_id": "",
           "kind": "checkpoint", "due_ms": 1}  # fmt: skip
    assert refused(json.dumps(due).encode(), key) == ("key", "is no contact id")
    agent = ContactFold(OutputBuilder(Topics("", ""), without_key), _letter, "11111111")  # type: ignore[arg-type]
    record, rows = Input("contacts", 0, 0, 1, key, b"{}", []), Table(agent, checkpointed=False)
    agent.set_aside(record, rows)
    agent.frozen(record, rows, ValueError())
    assert not rows.encoded() and not rows.outputs


def fold_over(row: bytes, *values: bytes) -> tuple[Overlay, list[Output]]:
    """Folded as in a cycle, where the contact's row is this."""
    agent = ContactFold(OutputBuilder(Topics("", ""), without_key), _letter, "11111111")
    overlay = Overlay(agent.tables, {CONTACTS: MemoryStore({b"a" * 20: row}), MESSAGES: MemoryStore()})
    for offset, value in enumerate(values, 10):
        record = Input("contacts", 0, offset, 1, b"a" * 20, value, [])
        overlay.preload(agent.row_keys(record))
        fold_whole(agent, record, overlay)
        set_aside(agent, record, overlay, "set aside: because")
    return overlay, [output for output in overlay.outputs if output.topic == "dead"]


@pytest.mark.parametrize("row", [b"{broken", b"\xff", b'{"tenant":"acme","line_type":"of another build"}'])
def test_a_row_that_cannot_be_read_stays_as_it_is_and_its_inputs_become_dead_letters(row: bytes) -> None:
    overlay, letters = fold_over(row, json.dumps(GOOD).encode())
    assert overlay.changed[CONTACTS] == {} and len(letters) == 2


def test_a_record_of_another_pseudonym_key_is_refused_alone_and_counted() -> None:
    faults = ContainedFaults()
    agent = ContactsAgent(
        "contacts", OutputBuilder(Topics("", ""), without_key), None, _letter, "11111111", AttemptsInDoubt(), 1, faults
    )  # type: ignore[arg-type] # no call is made
    foreign = json.dumps({**GOOD, "pk": "99999999"}).encode()
    with pytest.raises(UnreadableRecordError, match="pk: is the fingerprint of another"):
        agent.fold(Input("contacts", 0, 0, 1, b"a" * 20, foreign, []), Table(agent, checkpointed=False))
    assert faults.counts["foreign_key"] == 1


@pytest.mark.parametrize(
    ("counts", "found"),
    [({}, None),
     ({"ours": 1}, None),
     ({"ours": 60, "theirs": 40}, None),
     ({"ours": 1, "theirs": 1}, None),
     ({"theirs": 1}, "theirs"),
     ({"ours": 1, "theirs": 2}, "theirs")],
)  # fmt: skip
def test_the_log_is_of_the_key_that_most_of_its_last_records_carry(counts: dict[str, int], found: str | None) -> None:
    assert foremost(Counter(counts), "ours") == found
