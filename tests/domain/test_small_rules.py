"""Identities, addresses, segments, lanes."""

import re

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from msgspec.structs import replace
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from app.domain.content import digests
from app.domain.content.phone import mask, read_address
from app.domain.content.segments import count, smart
from app.domain.lanes.lane import HELD_BACK_MS, REGRANT_MS, Lane
from app.domain.model import identity
from app.domain.model.effects import PermitRequest
from app.domain.model.events import InputRefused
from app.domain.model.vocabulary import DeliveryStatus, Intent, Priority
from tests.support.given import cancel, given, rejected, report, requested, text


def test_a_message_id_names_its_contact_and_repeats_for_the_same_request():
    contact = identity.contact_id(b"k" * 32, "acme", "+14155550123")
    assert len(contact) == 20
    named = identity.message_id(b"k" * 32, "acme", "k1", contact)
    assert named == identity.message_id(b"k" * 32, "acme", "k1", contact) and named.startswith(f"{contact}-")


def test_p8_an_idempotency_key_cannot_be_found_from_a_message_id_without_the_pseudonym_key():
    contact = "c" * 20
    assert len({identity.message_id(key, "acme", "+14155550123", contact) for key in (b"a", b"b")}) == 2


def test_the_fingerprint_of_a_key_as_an_older_build_made_it_is_known_and_no_other():
    key = b"k" * 32
    assert not identity.is_older_form(key, identity.key_fingerprint(key))
    assert identity.is_older_form(key, identity.key_fingerprint(key, 1))
    assert not identity.is_older_form(key, identity.key_fingerprint(b"o" * 32, 1))


def of(tenant, record):
    return replace(record, tenant=tenant)


@pytest.mark.parametrize("stray", [report(DeliveryStatus.DELIVERED), report(DeliveryStatus.SENT, n=2)])
@pytest.mark.parametrize("own", [requested(), text(Intent.STOP), rejected()])
def test_p7_a_report_that_names_another_tenants_contact_leaves_it_to_whom_it_belongs(stray, own):
    log = given(of("other", stray))
    assert [event.field for event in log.said(InputRefused)] == ["message_id"]
    alone = given(of("acme", stray), own)
    log.then(own)
    assert log.said(InputRefused) == [] and log.contact == replace(
        alone.contact, based_ms=log.contact.based_ms, based_offset=1
    )
    log.then(of("other", stray))
    assert [event.field for event in log.said(InputRefused)] == ["tenant"]


def test_p7_a_contact_that_has_anything_is_nobody_elses():
    for own in (requested(), text(Intent.STOP), text(Intent.NONE)):
        log = given(own)
        before = log.contact
        log.then(of("other", requested()), of("other", report(DeliveryStatus.DELIVERED)))
        kept = {"watermark": before.watermark, "touched_ms": before.touched_ms}
        assert replace(log.contact, **kept) == before and log.said(InputRefused)


@pytest.mark.parametrize("own", [requested(), text(Intent.STOP), rejected()])
def test_p7_a_cancel_of_an_invented_message_of_another_tenants_contact_does_not_shut_its_tenant_out(own):
    log = given(of("other", cancel("b" * 20)), own)
    assert log.said(InputRefused) == [] and (log.contact.tenant, log.contact.canceled_ahead) == ("acme", {})


def test_fields_that_join_alike_have_different_ids():
    key, contact = b"k" * 32, "c" * 20
    assert digests.payload_fingerprint(key, contact, "ab", "c") != digests.payload_fingerprint(key, contact, "a", "bc")
    assert identity.contact_id(b"k" * 32, "a", "bc") != identity.contact_id(b"k" * 32, "ab", "c")


def test_p8_a_code_cannot_be_found_from_its_fingerprint_without_the_key_nor_two_people_be_told_alike():
    prints = {digests.payload_fingerprint(key, contact, "123456") for key in (b"a", b"b") for contact in ("c", "d")}
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [("+14155550123", "+14155550123"), ("+1 (415) 555-0123", "+14155550123"), ("whatsapp:+14155550123", "+14155550123"),
     ("+5215512345678", "+525512345678"), ("+5491123456789", "+541123456789")],
)  # fmt: skip
def test_addresses_have_one_form(raw, canonical):
    assert read_address(raw).canonical == canonical
    assert read_address(raw).problem == ""


@pytest.mark.parametrize(
    "raw",
    ["+1\u202f415\u200e555\ufe0d0123", "\u202a+1 415\u00a0555\u20110123\u202c", "\ufeff+14155550123", "tel:+1-415-555-0123",
     "+1\u00ad415\u3164555\u20600123", "\uff0b\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff12\uff13"],
)  # fmt: skip
def test_what_nobody_sees_inside_a_number_is_ignored(raw):
    assert read_address(raw) == read_address("+14155550123")


@for_all(st.lists(st.sampled_from("\u202f\u200e\u200f\ufe0d\u00a0\u00ad\u2060\ufeff\u2069 "), min_size=12, max_size=12))
def test_wherever_it_stands(between: list[str]):
    written = "".join(digit + unseen for digit, unseen in zip("+14155550123", between, strict=True))
    assert read_address(written) == read_address("+14155550123")


@pytest.mark.parametrize(
    ("raw", "rule"),
    [("+1 415 555 012O", "has letters among its digits"), ("+1800FLOWERS", "has letters among its digits"),
     ("+1415555\u041e123", "has letters among its digits"), ("Ada +14155550123", "has letters among its digits"),
     ("+14155550123 ext. 5", "has an extension, which cannot be texted"),
     ("+14155550123x5", "has an extension, which cannot be texted"),
     ("+14155550123;ext=5", "has an extension, which cannot be texted"),
     ("+14155550123,,5", "has an extension, which cannot be texted"),
     ("+14155550123#5", "has an extension, which cannot be texted"),
     ("+14155550123/+14155550124", "is more than one number"),
     ("1.4155550123E+10", "was turned into a floating point number by a spreadsheet: format the column as text"),
     ("(415) 555-0123", "is not a phone number with + and country code"),
     ("+14155550123\n4", "is not a phone number with + and country code"),
     ("+14155550123\x00", "is not a phone number with + and country code"),
     ("+1415555\ud83d0123", "is not a phone number with + and country code")],
)  # fmt: skip
def test_what_is_no_number_is_refused_with_the_reason_and_shown_to_nobody(raw, rule):
    address = read_address(raw)
    assert (address.problem, address.masked) == (rule, "\u2022\u2022\u2022")


@pytest.mark.parametrize("raw", ["", "hello", "4155550123", "+1415", "+", "+999999999999999999"])
def test_an_impossible_number_has_a_problem(raw):
    assert read_address(raw).problem


def test_a_mask_shows_the_end_of_a_number_and_nothing_of_what_is_none():
    assert mask("+14155550123") == "•••0123"
    assert mask("+4550123456") == "•••56"
    hidden = ("12345", "+141555", "14155550123", "+1415555x123", "anna@example.com", "HELIOGRAPH", "+", "")
    assert {mask(address) for address in hidden} == {"•••"}


@for_all(st.sampled_from(sorted(COUNTRY_CODE_TO_REGION_CODE)), st.from_regex(r"[0-9]{1,14}", fullmatch=True))
def test_p8_a_mask_shows_four_digits_of_a_subscriber_at_most_and_never_more_than_half(code: int, subscriber: str):
    shown = mask(f"+{code}{subscriber}").removeprefix("•••")
    assert shown == "" or subscriber.endswith(shown)
    assert len(shown) <= min(4, len(subscriber) // 2)


@for_all(st.text(max_size=20).filter(lambda text: not re.fullmatch(r"\+\d+", text)))
def test_p8_a_mask_shows_nothing_of_an_address_that_is_no_number(address: str):
    assert mask(address) == "•••"


@pytest.mark.parametrize(
    ("text", "encoding", "parts"),
    [("", "GSM-7", 1), ("a" * 160, "GSM-7", 1), ("a" * 161, "GSM-7", 2), ("a" * 306, "GSM-7", 2), ("a" * 307, "GSM-7", 3),
     ("€" * 80, "GSM-7", 1), ("€" * 81, "GSM-7", 2), ("ж" * 70, "UCS-2", 1), ("ж" * 71, "UCS-2", 2), ("😀" * 35, "UCS-2", 1),
     ("😀" * 36, "UCS-2", 2), ("ç", "UCS-2", 1), ("`", "UCS-2", 1)],
)  # fmt: skip
def test_segments(text, encoding, parts):
    assert (count(text).encoding, count(text).parts) == (encoding, parts)


def test_an_escape_pair_is_never_split():
    assert count("a" * 152 + "€" + "a" * 153).parts == 3


def test_a_family_emoji_stays_in_one_part():
    family = "👩‍👩‍👧‍👦"
    assert count("ж" * 60 + family + "ж" * 30).parts == 2
    assert count("ж" * 60 + family + "ж" * 57).parts == 3


def test_smart_encoding_replaces_typography():
    assert smart("“so”…") == '"so"...'
    assert count(smart("“so”")).encoding == "GSM-7"


@for_all(st.text(st.sampled_from("“”…— \u00a0\u200babc½Ａ"), max_size=12))
def test_a_text_is_known_again_whether_or_not_twilio_lists_it_as_smart_encoding_left_it(body):
    assert digests.text_digest(b"k", "c", smart(body), 0) == digests.text_digest(b"k", "c", body, 0)


def test_texts_that_differ_otherwise_have_different_digests():
    bodies = ["Code 1", "Code 2", "code 1", "Code 1.", ""]
    assert len({digests.text_digest(b"k", "c", body, media) for body in bodies for media in (0, 1)}) == 10


def ask(n: int, priority: Priority = Priority.NORMAL, segments: int = 1) -> PermitRequest:
    return PermitRequest(
        message_id=f"c-{n}", attempt=1, lane="l", priority=priority, segments=segments, expires_ms=10**15
    )


def test_a_bucket_starts_empty_and_fills_at_its_rate():
    lane = Lane(rate=10, burst=20, now_ms=0)
    for n in range(30):
        lane.ask(ask(n))
    assert list(lane.grants(0)) == []
    assert len(list(lane.grants(1000))) == 10
    assert lane.next_at(1000) in (1100, 1101)


def test_urgent_goes_first_and_bulk_is_not_starved():
    lane = Lane(rate=0, burst=0, now_ms=0)
    for n in range(100):
        lane.ask(ask(n, Priority.BULK))
        lane.ask(ask(100 + n, Priority.NORMAL))
    lane.ask(ask(999, Priority.URGENT))
    granted = [a.priority for a in lane.grants(0)]
    assert granted[0] is Priority.URGENT
    assert granted[1:101].count(Priority.BULK) == 20


def test_a_known_ask_is_not_queued_twice_and_an_answered_one_is_gone():
    lane = Lane(rate=0, burst=0, now_ms=0)
    lane.ask(ask(1))
    lane.ask(ask(1))
    assert len(list(lane.grants(0))) == 1
    lane.answered(("c-1", 1))
    assert len(lane) == 0 and list(lane.grants(10**9)) == []


def test_an_unanswered_turn_is_granted_again():
    lane = Lane(rate=0, burst=0, now_ms=0)
    lane.ask(ask(1))
    assert len(list(lane.grants(0))) == 1
    assert list(lane.grants(REGRANT_MS - 1)) == []
    assert len(list(lane.grants(REGRANT_MS))) == 1


def test_a_held_lane_grants_nothing_until_then():
    lane = Lane(rate=0, burst=0, now_ms=0)
    lane.ask(ask(1))
    lane.hold(5000)
    assert list(lane.grants(4999)) == [] and lane.next_at(0) == 5000
    assert len(list(lane.grants(5000))) == 1


def test_turns_that_no_call_could_follow_are_held_back_and_looked_at_again_soon():
    lane = Lane(rate=0, burst=0, now_ms=0)
    for n in range(5):
        lane.ask(ask(n))
    assert len(list(lane.grants(0, most=3))) == 3
    assert list(lane.grants(10, most=3)) == [] and lane.next_at(10, most=3) == 10 + HELD_BACK_MS
    lane.answered(("c-0", 1))
    assert [a.message_id for a in lane.grants(20, most=3)] == ["c-3"]
    assert lane.next_at(20) == 20 and len(list(lane.grants(20))) == 1


def test_granted_and_unanswered_turns_never_exceed_the_burst():
    lane = Lane(rate=1, burst=2, now_ms=0)
    for n in range(5):
        lane.ask(ask(n))
    assert len(list(lane.grants(9_000))) == 2
    assert list(lane.grants(9_500)) == []
