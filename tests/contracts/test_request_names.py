"""Control characters in what a team names are refused on Kafka, whatever form the request has."""

import json

import pytest

from app.records.codec import InvalidFieldError
from app.records.loose_requests import read_loosely
from app.records.requests import read_request

GOOD = {"type": "notify.requested.v1", "to": "+14155550123", "body": "Build 742 deployed."}
CANCEL = {"type": "notify.canceled.v1", "message_id": f"{'a' * 20}-{'b' * 20}"}
CONTROLS = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0))]


def fault(event: object, headers: list[tuple[str, bytes | None]] | None = None) -> tuple[str, str]:
    with pytest.raises(InvalidFieldError) as bad:
        read_request(json.dumps(event).encode(), headers or [])
    return bad.value.field, bad.value.rule


@pytest.mark.parametrize("field", ["id", "idempotency_key", "campaign"])
def test_a_control_character_in_a_name_is_refused_wherever_it_stands(field: str) -> None:
    for control in CONTROLS:
        for name in (control, f"a{control}", f"{control}a"):
            assert fault({**GOOD, field: name}) == (field, "holds control characters")


def test_names_in_metadata_are_refused_and_values_may_have_lines() -> None:
    assert fault({**GOOD, "metadata": {"a\x1b": "b"}}) == ("metadata", "has a name that holds control characters")
    assert read_request(json.dumps({**GOOD, "metadata": {"a": "b\nc"}}).encode())


def test_the_id_of_a_cloud_event_and_of_a_cancel_are_such_names() -> None:
    event = {"specversion": "1.0", "id": "e\n", "type": GOOD["type"], "data": GOOD}
    binary = [("ce_specversion", b"1.0"), ("ce_id", b"e\x1b")]
    assert fault(event)[0] == fault(GOOD, binary)[0] == fault({**CANCEL, "id": "\x7f"})[0] == "id"


def test_such_a_request_is_rejected_under_the_key_that_its_team_gave() -> None:
    loose = read_loosely(json.dumps({**GOOD, "idempotency_key": "k\n"}).encode(), [], "place")
    assert loose is not None and loose.idempotency_key == "k\n"
