"""Dead letters: what a letter keeps of its record, and what a record that is produced again says of itself."""

import hashlib

import msgspec
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import HealthCheck, settings
from hypothesis import given as cases
from hypothesis import strategies as st

from app.cli.queries.dead_letter_reproduction import escaped, reproduction
from app.records.codec import MAX_FIELD, MAX_RULE
from app.records.dead_letter_content import KEPT_HEADERS, LETTER_BYTES, OpenedContent, WholePart
from app.records.dead_letters import (
    RETRY_OF,
    LostRecord,
    NotifyDeadletter,
    again,
    dead_letter,
    open_letter,
    place_of,
    retried_from,
)
from app.records.seal import Sealer, UnsealError

SEALER = Sealer({"k1": b"1" * 32})
# As a consumer has the names of headers: bytes that are not UTF-8 as lone surrogates.
names = st.binary(max_size=10).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
# Megabytes of bytes that cost nothing to draw.
sizes = st.sampled_from([0, 1, 100, 1 << 20, 2_300_000, 3_120_000, 3_140_000, 1 << 22, 1 << 23])
longs = (
    st.none()
    | st.binary(max_size=20)
    | st.builds(lambda part, size: (part * size)[:size], st.binary(min_size=1, max_size=9), sizes)
)
headers = st.lists(st.tuples(names, longs), max_size=3) | st.builds(
    lambda one, times: [one] * times,
    st.tuples(names, st.none() | st.binary(max_size=20)),
    st.sampled_from([2, KEPT_HEADERS, KEPT_HEADERS + 1, 5_000, 60_000]),
)


def letter(lost: LostRecord) -> NotifyDeadletter:
    """As it is read back, from a record that `notify.deadletters` takes."""
    value, made = dead_letter(SEALER, lost, "to", "is required")
    batch = BatchBuilder(1, 0)
    assert batch.append(timestamp=None, key=b"k" * 300, value=value, headers=made)
    assert len(batch._build()) <= LETTER_BYTES
    return msgspec.json.decode(value, type=NotifyDeadletter)


def whole(raw: bytes) -> WholePart:
    return WholePart(len(raw), hashlib.sha256(raw).hexdigest())


def framed(header: tuple[str, bytes | None]) -> bytes:
    name, value = header[0].encode("utf-8", "surrogateescape"), header[1]
    return (
        len(name).to_bytes(4, "big")
        + name
        + (b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value)
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@cases(longs, longs, headers)
def test_a_letter_fits_and_gives_back_its_record_or_says_exactly_what_was_cut(key, value, given):
    kept = letter(LostRecord("notify.requests", "3-17", key, value, 1, given))
    opened = open_letter(SEALER, kept)
    assert kept.bytes == len(value or b"") and kept.cut == bool(opened.cut)
    assert opened.headers == given[: len(opened.headers)]
    for name, was, now in (("key", key, opened.key), ("value", value, opened.value)):
        if name in opened.cut:
            assert was.startswith(now) and len(now) < len(was) and opened.cut[name] == whole(was)
        else:
            assert now == was
    if "headers" in opened.cut:
        said = opened.cut["headers"]
        assert len(opened.headers) < said.count == len(given)
        assert said.bytes == sum(len(n.encode("utf-8", "surrogateescape")) + len(v or b"") for n, v in given)
        assert said.sha256 == hashlib.sha256(b"".join(map(framed, given))).hexdigest()
    else:
        assert opened.headers == given


def test_a_record_as_long_as_its_topic_takes_is_kept_whole():
    for key, value, given in [
        (None, b"v" * 2_097_000, []),
        (b"k" * 2_097_000, None, []),
        (None, b"", [("h", b"v" * 2_097_000)]),
    ]:
        assert open_letter(
            SEALER, letter(LostRecord("notify.requests", "3-17", key, value, 1, given))
        ) == OpenedContent(key, value, given)


@settings(max_examples=30, deadline=None)
@cases(st.binary(max_size=50), st.integers(0, 3000), st.sampled_from([0, 100, 1_500_000]))
def test_headers_however_many_keep_neither_key_nor_value_from_a_letter_and_hardly_lengthen_it(key, count, size):
    kept = letter(LostRecord("notify.requests", "3-17", key, bytes(size), 1, [("", b"")] * count))
    opened = open_letter(SEALER, kept)
    assert (opened.key, opened.value, len(opened.headers)) == (key, bytes(size), min(count, KEPT_HEADERS))
    assert kept.cut == (count > KEPT_HEADERS) == ("headers" in opened.cut)
    assert len(kept.payload) + len(kept.envelope) < 4 / 3 * size + 2_500


@settings(max_examples=100, deadline=None)
@cases(
    st.text(st.characters(categories=None), max_size=600),
    st.text(max_size=600),
    st.integers(),
    st.text(st.characters(categories=None)),
)
def test_no_field_rule_time_or_name_keeps_a_letter_from_being_written(field, rule, at_ms, name):
    value, _ = dead_letter(SEALER, LostRecord("t", "0-0", None, None, at_ms, [(name, None)]), field, rule * 9)
    kept = msgspec.json.decode(value, type=NotifyDeadletter)
    assert len(kept.field) <= MAX_FIELD and len(kept.rule) <= MAX_RULE


def test_p8_the_hash_of_what_was_cut_stands_in_the_seal_alone():
    value = b"+12125550100" * 400_000
    raw, _ = dead_letter(
        SEALER, LostRecord("notify.requests", "3-17", None, value, 1), "value", "is longer than 900000 bytes"
    )
    assert b'"cut":true' in raw and hashlib.sha256(value).hexdigest().encode() not in raw


def test_a_record_is_produced_again_with_what_the_client_can_write_and_the_rest_is_named():
    opened = OpenedContent(None, None, [("ok", None), ("\udcff\udcfe", b"1"), ("ok", b"2")])
    record = reproduction("notify.requests", 3, opened, "notify.requests-3-17")
    assert (record.key, record.value, record.left_out) == (None, None, ["\\xff\\xfe"])
    assert record.headers == [("ok", None), ("ok", b"2"), (RETRY_OF, b"notify.requests-3-17")]
    batch = BatchBuilder(1, 0)
    assert batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)


@cases(names)
def test_any_name_of_a_header_can_be_shown(name):
    assert escaped(name).encode().decode() == escaped(name)


def test_p8_nothing_of_the_record_can_be_read_in_its_letter():
    lost = LostRecord(
        "notify.requests", "3-17", b"+12125550100", b'{"body":"secret text"}', 1, [("x-to", b"+12125550100")]
    )
    raw, _ = dead_letter(SEALER, lost, "to", "is required")
    assert b"2125550100" not in raw and b"secret text" not in raw and b"x-to" not in raw


def test_a_letter_opens_only_with_its_key_and_as_itself():
    kept = letter(LostRecord("notify.requests", "3-17", b"k", b"v", 1))
    with pytest.raises(UnsealError):
        open_letter(Sealer({"k1": b"9" * 32}), kept)
    with pytest.raises(UnsealError):
        open_letter(SEALER, msgspec.structs.replace(kept, source="notify.requests-3-18"))


def test_a_letter_of_an_earlier_build_opens_without_key_and_headers():
    old = msgspec.structs.replace(letter(LostRecord("notify.requests", "3-17", b"k", b"v", 1)), envelope="")
    assert open_letter(SEALER, old) == OpenedContent(None, b"v", [])


def test_a_source_names_its_topic_and_partition_unless_it_is_the_doors():
    assert place_of("t1.notify.requests-3-17") == ("t1.notify.requests", 3)
    assert place_of("with-dashes-0-1") == ("with-dashes", 0)
    assert place_of("ingress-0123456789abcdef0123456789abcdef") is None


def test_a_record_that_is_retried_twice_stays_a_retry_of_the_first():
    first = again(OpenedContent(b"k", b"v", [("x", b"1")]), "notify.requests-3-17")
    assert first == [("x", b"1"), (RETRY_OF, b"notify.requests-3-17")]
    assert again(OpenedContent(b"k", b"v", first), "notify.requests-3-99") == first
    assert retried_from(first) == "notify.requests-3-17"


@pytest.mark.parametrize("forged", [None, b"", b"no place", b"a-1", b"\xff-1-1", b"x" * 400 + b"-1-1", b"a-1-1\n"])
def test_a_header_that_names_no_place_is_no_retry(forged):
    assert retried_from([(RETRY_OF, forged)]) is None
