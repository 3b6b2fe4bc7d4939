"""P8, P1: whatever a producer writes, the fault that is told names field and rule and nothing of the content."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.content.surrogates import MOST, WARNING, replace_lone_surrogates
from app.records.codec import InvalidFieldError
from app.records.loose_requests import MOST_COMMAS, read_loosely
from app.records.requests import NotifyRequested, parse_request, read_request

CANARY = "canary 8c1f"
FIELDS = NotifyRequested.__struct_fields__
GOOD = {"type": "notify.requested.v1", "to": "+12125550177", "body": "Build 1."}
scalars = st.sampled_from([None, True, 0, -1.5, 10**30, "", CANARY, f"{CANARY}' - at `$.{CANARY}", CANARY * 20])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", CANARY, CANARY * 9]), inner),
    max_leaves=5,
)


def fault(event: object) -> InvalidFieldError | None:
    try:
        read_request(json.dumps(event).encode())
    except InvalidFieldError as bad:
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


RAW = json.dumps(GOOD).encode()
EVENT = json.dumps({"specversion": "1.0", "id": "e1", "type": GOOD["type"], "data": GOOD}).encode()
BINARY = [("ce_specversion", b"1.0"), ("ce_id", b"e1"), ("ce_time", None)]


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\0\0\0\0\x2a", b"\0\xff\xff\xff\xff\xef\xbb\xbf", b" \n"])
@pytest.mark.parametrize(("value", "headers", "own"), [(RAW, [], None), (EVENT, [], "e1"), (RAW, BINARY, "e1")])
def test_what_other_serializers_write_before_the_json_is_skipped(before, value, headers, own) -> None:
    request, warnings = parse_request(before + value, headers)
    assert (request.to, request.body, request.id, warnings) == (GOOD["to"], GOOD["body"], own, ())
    assert read_loosely(before + value, headers, "place").recipients == (GOOD["to"],)


@pytest.mark.parametrize(
    ("written", "read"),
    [(b"a \\ud83d", "a \ufffd"), (b"\\uDE00 a", "\ufffd a"), (b"\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
     (b"\\\\ud83d \\ud83d", "\\ud83d \ufffd"), (b"\xed\xa0\xbd", "\ufffd"), (b"\xed\xa0\xbd\xed\xb8\x80", "\U0001f600")],
)  # fmt: skip
@pytest.mark.parametrize("value", [RAW, b"\xef\xbb\xbf" + RAW, EVENT])
def test_surrogates_that_are_no_character_are_replaced_and_the_update_says_so(value, written, read) -> None:
    broken = value.replace(b"Build 1.", written)
    request, warnings = parse_request(broken)
    assert (request.body, warnings) == (read, (WARNING,))


@pytest.mark.parametrize("name", ["tenant", "idempotency_key", "campaign", "id"])
def test_no_lone_surrogate_comes_out_of_a_request_that_breaks_a_rule(name) -> None:
    loose = read_loosely(json.dumps({**GOOD, name: "x\ud800", "metadata": {"\udfff": "\ud800"}}).encode(), (), "place")
    assert "\ufffd" in str(loose) and str(loose).encode()


@given(st.text(st.characters(categories=None)))
def test_lone_surrogates_are_replaced_and_nothing_else(text) -> None:
    written = json.dumps(text).encode()
    replaced = replace_lone_surrogates(written)
    assert json.loads(replaced).encode("utf-16").decode("utf-16") == text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert replaced == written


@pytest.mark.parametrize("lone", [rb"\ud83d", b"\xed\xa0\xbd"])
def test_more_lone_surrogates_than_a_request_can_hold_are_left(lone) -> None:
    most = lone * MOST
    assert lone not in replace_lone_surrogates(most)
    assert replace_lone_surrogates(most + lone * 7).count(lone) == 7


def test_a_list_of_recipients_that_is_far_too_long_is_not_looked_at() -> None:
    fits = [GOOD["to"]] * MOST_COMMAS
    for to, told in ((fits, (GOOD["to"],)), ([1] * MOST_COMMAS + fits, None)):
        loose = read_loosely(json.dumps({**GOOD, "body": "", "to": to}).encode(), (), "place")
        assert (loose and loose.recipients) == told


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (None, "must not be empty"),
        (b"", "must not be empty"),
        (b"\0", "is not JSON in UTF-8"),
        (b"\xff{}", "is not JSON in UTF-8"),
        (b"\xff\xfe{\0", "is not JSON in UTF-8"),
    ],
)
def test_a_value_that_is_no_json_is_told_by_rule(value, rule) -> None:
    with pytest.raises(InvalidFieldError) as bad:
        parse_request(value, [("x", None), ("\udcff", b"")])
    assert (bad.value.field, bad.value.rule) == ("value", rule)


@pytest.mark.parametrize("extra", [b"1e400", b"9" * 5000, b'"\\ud83d"', b"[" * 400 + b"]" * 400])
def test_a_field_that_nobody_reads_may_hold_what_it_likes(extra) -> None:
    for value in (RAW, EVENT):
        request, _ = parse_request(value.replace(b'"body"', b'"unknown":' + extra + b',"body"'), BINARY)
        assert request.body == GOOD["body"]


def test_a_path_of_hostile_length_is_cut() -> None:
    nested = b'{"a":' * 300 + b"1e400" + b"}" * 300
    bad = fault({**GOOD, "metadata": {"k" * 60_000: 1}})
    assert bad is not None and len(bad.field) <= 200 and len(bad.rule) <= 500
    with pytest.raises(InvalidFieldError) as told:
        parse_request(RAW.replace(b'"Build 1."', nested))
    assert len(told.value.field) <= 200
