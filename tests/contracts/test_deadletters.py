"""Dead letters: what a letter keeps of its record, and what a record that is produced again says of itself."""

import msgspec
import pytest
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from app.records.deadletters import (
    RETRY_OF,
    Lost,
    NotifyDeadletter,
    Opened,
    again,
    dead_letter,
    open_letter,
    place_of,
    retried_from,
)
from app.records.seal import Sealer, Unsealable

SEALER = Sealer({"k1": b"1" * 32})
headers = st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=20)), max_size=4)


def letter(lost: Lost) -> NotifyDeadletter:
    return msgspec.json.decode(dead_letter(SEALER, lost, "to", "is required"), type=NotifyDeadletter)


@settings(max_examples=100, deadline=None)
@cases(st.one_of(st.none(), st.binary(max_size=20)), st.binary(max_size=50), headers)
def test_a_letter_gives_back_the_key_the_value_and_the_headers_of_its_record(key, value, given):
    kept = letter(Lost("notify.requests", "3-17", key, value, 1, given))
    assert open_letter(SEALER, kept) == Opened(key, value, given)


def test_p8_nothing_of_the_record_can_be_read_in_its_letter():
    lost = Lost("notify.requests", "3-17", b"+12125550100", b'{"body":"secret text"}', 1, [("x-to", b"+12125550100")])
    raw = dead_letter(SEALER, lost, "to", "is required")
    assert b"2125550100" not in raw and b"secret text" not in raw and b"x-to" not in raw


def test_a_letter_opens_only_with_its_key_and_as_itself():
    kept = letter(Lost("notify.requests", "3-17", b"k", b"v", 1))
    with pytest.raises(Unsealable):
        open_letter(Sealer({"k1": b"9" * 32}), kept)
    with pytest.raises(Unsealable):
        open_letter(SEALER, msgspec.structs.replace(kept, source="notify.requests-3-18"))


def test_a_letter_of_an_earlier_build_opens_without_key_and_headers():
    old = msgspec.structs.replace(letter(Lost("notify.requests", "3-17", b"k", b"v", 1)), envelope="")
    assert open_letter(SEALER, old) == Opened(None, b"v", [])


def test_a_source_names_its_topic_and_partition_unless_it_is_the_doors():
    assert place_of("t1.notify.requests-3-17") == ("t1.notify.requests", 3)
    assert place_of("with-dashes-0-1") == ("with-dashes", 0)
    assert place_of("ingress-0123456789abcdef0123456789abcdef") is None


def test_a_record_that_is_retried_twice_stays_a_retry_of_the_first():
    first = again(Opened(b"k", b"v", [("x", b"1")]), "notify.requests-3-17")
    assert first == [("x", b"1"), (RETRY_OF, b"notify.requests-3-17")]
    assert again(Opened(b"k", b"v", first), "notify.requests-3-99") == first
    assert retried_from(first) == "notify.requests-3-17"


@pytest.mark.parametrize("forged", [b"", b"no place", b"a-1", b"\xff-1-1", b"x" * 400 + b"-1-1", b"a-1-1\n"])
def test_a_header_that_names_no_place_is_no_retry(forged):
    assert retried_from([(RETRY_OF, forged)]) is None
