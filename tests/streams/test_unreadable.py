"""What stands on the contact log and cannot be read is refused by field and rule, never with what it holds."""

import json

import pytest

from app.records.topics import Topics
from app.streams.contactfold import ContactFold
from app.streams.engine.agent import Input, Output, Unreadable
from app.streams.notices import Notices
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


def _fail(why: str) -> None:
    raise AssertionError(why)


def refused(value: bytes | None, key: bytes | None = b"a" * 20) -> tuple[str, str]:
    agent = ContactFold(Notices(Topics("", "")), _letter, _fail, "11111111")  # type: ignore[arg-type]
    with pytest.raises(Unreadable) as bad:
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
    agent = ContactFold(Notices(Topics("", "")), _letter, _fail, "11111111")  # type: ignore[arg-type]
    record, rows = Input("contacts", 0, 0, 1, key, b"{}", []), Table(agent, checkpointed=False)
    agent.set_aside(record, rows)
    agent.frozen(record, rows, ValueError())
    assert not rows.encoded() and not rows.outputs
