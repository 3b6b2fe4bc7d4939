"""P8, P1: whatever a producer writes, the fault that is told names field and rule and nothing of the content."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.records.codec import Unreadable
from app.records.requests import NotifyRequested, read_loosely, read_request

CANARY = "canary 8c1f"
FIELDS = NotifyRequested.__struct_fields__
GOOD = {"type": "notify.requested.v1", "to": "+12125550177", "body": "Build 1."}
scalars = st.sampled_from([None, True, 0, -1.5, 10**30, "", CANARY, f"{CANARY}' - at `$.{CANARY}", CANARY * 20])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", CANARY, CANARY * 9]), inner),
    max_leaves=5,
)


def fault(event: object) -> Unreadable | None:
    try:
        read_request(json.dumps(event).encode())
    except Unreadable as bad:
        return bad
    return None


@given(st.dictionaries(st.sampled_from([*FIELDS, "type", "specversion", "data", "message_id"]), values, min_size=1))
def test_p8_a_fault_names_its_field_and_shows_nothing_of_the_content(given_fields: dict) -> None:
    bad = fault({**GOOD, **given_fields})
    if bad is not None:
        assert bad.field and bad.rule and CANARY not in str(bad)


@given(values)
def test_p8_a_value_that_is_no_event_is_told_without_its_content(value: object) -> None:
    bad = fault(value)
    assert bad is not None and bad.field and CANARY not in str(bad)


@given(st.dictionaries(st.sampled_from([*FIELDS, "type"]), values))
def test_p1_whose_an_unreadable_request_was_can_always_be_asked(given_fields: dict) -> None:
    loose = read_loosely(json.dumps({**GOOD, **given_fields}).encode(), (), "place")
    assert loose is None or all(isinstance(to, str) and to for to in loose.recipients)


@pytest.mark.parametrize(
    ("given_fields", "field", "rule"),
    [
        ({"priority": CANARY}, "priority", "is not one of the known values"),
        ({"type": CANARY}, "type", "is not one of the known values"),
        ({"to": 12125550177}, "to", "expected `str | array`, got `int`"),
        ({"metadata": {CANARY * 9: "x"}}, "metadata", "key: expected `str` of length <= 64"),
    ],
)
def test_a_fault_says_what_was_expected(given_fields: dict, field: str, rule: str) -> None:
    bad = fault({**GOOD, **given_fields})
    assert bad is not None and (bad.field, bad.rule) == (field, rule)
