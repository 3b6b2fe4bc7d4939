"""What is published about a request and what is done with one agree, whatever is asked."""

import json
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from app.records.codec import InvalidFieldError
from app.records.requests import read_request
from tests.support.judged import faults

WRONG = st.sampled_from([None, 0, 1.5, True, "", " ", [], {}, ["x"], {"a": 1}])
TEXT = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=5)
TIMES = st.sampled_from(
    ["2026-11-25T09:00:00Z", "2026-11-25T09:00:00.5+01:00", "2026-11-25T09:00:00", "soon", "2026-02-30T00:00:00Z"]
)
SHORT = st.one_of(
    TEXT, st.integers(199, 202).map("k".__mul__), st.text(st.sampled_from("a\x1b\n\x7f\x9b\u202e "), max_size=3)
)


def _of_length(least: int, most: int, start: str) -> st.SearchStrategy[str]:
    return st.integers(least, most).map(lambda length: start.ljust(length, "5"))


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["notify.requested.v1", "notify.requested.v1", "notify.guessed.v1"]),
    "to": st.one_of(
        st.just("+14155550123"),
        _of_length(99, 101, "+1"),
        st.lists(st.just("+14155550123") | _of_length(99, 101, "+1"), max_size=2),
    ),
    "id": SHORT,
    "at": TIMES,
    "tenant": SHORT,
    "idempotency_key": SHORT,
    "body": st.one_of(TEXT, st.integers(1599, 1602).map("b".__mul__)),
    "media": st.lists(
        st.sampled_from(["https://example.com/a.png", "http://example.com/a.png"])
        | _of_length(2047, 2049, "https://x/"),
        max_size=11,
    ),
    "media_fallback": st.sampled_from(["https://example.com/m", "https://", "http://example.com/m", "https://a b", ""]),
    "category": st.sampled_from(["otp", "alert", "spam"]),
    "priority": st.sampled_from(["urgent", "bulk", "late"]),
    "sender": SHORT,
    "send_at": TIMES,
    "fallback": st.lists(st.just({"channel": "email"}), max_size=1),
    "campaign": SHORT,
    "metadata": st.one_of(
        st.dictionaries(st.sampled_from(["a", "", "a\n", "\x1ba", "\x85"]), st.just("v"), max_size=2),
        st.dictionaries(st.integers(63, 65).map("n".__mul__), st.integers(499, 501).map("v".__mul__), max_size=2),
        st.integers(49, 51).map(lambda n: {str(i): "x" for i in range(n)}),
    ),
}
GOOD = {"type": "notify.requested.v1", "to": "+14155550123", "body": "Build 742 deployed."}
# Two at most: with more, nearly every request would break a rule, and a rule that one side lacks would not show.
CHANGED = st.lists(
    st.one_of([st.tuples(st.just(name), values | WRONG) for name, values in FIELDS.items()]), max_size=2
).map(dict)


def taken(request: dict[str, Any]) -> bool:
    try:
        read_request(json.dumps(request).encode())
    except InvalidFieldError:
        return False
    return True


@example({"campaign": "spring\n"}, set())
@example({"metadata": {"a\n": "b"}}, set())
@example({"media": []}, {"body"})
@example({"fallback": []}, set())
@example({"fallback": [{"channel": "email"}]}, set())
@example({"media": ["https://example.com/a.png"]}, {"body"})
@example({"media": [], "body": "\t"}, set())
@settings(max_examples=1500, deadline=None)
@given(CHANGED, st.sets(st.sampled_from(["type", "to", "body"]), max_size=1))
def test_a_request_is_taken_exactly_when_its_schema_says_so(changed: dict[str, Any], left_out: set[str]) -> None:
    request = {name: value for name, value in (GOOD | changed).items() if name not in left_out}
    assume(
        not (request.get("media_fallback") and len(str(request.get("body"))) > 1500)
    )  # a rule that no schema can say
    if request.get("type") == "notify.requested.v1":
        assert taken(request) == (not faults(request)), request
    else:
        assert not taken(request)
