"""What the door stamps: until when a text is held, when a number is invalid, what a code means for this attempt."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.model.vocabulary import ErrorClass
from app.provider.callbacks import Report, read_report
from app.provider.error_enrichment import PACIFIC, About, ErrorEnrichment, stamp, stamp_code
from app.provider.status_mapping import ERRORS

TOLL_FREE, LONG = "+18885550101", "+12065550101"
NEW_YORK, TEXAS = "+12125550101", "+12145550101"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


MIDNIGHTS = {
    "in summer, 7 hours behind": ("2026-07-01T12:00:00Z", "2026-07-02T07:00:00Z"),
    "in winter, 8 hours behind": ("2026-12-01T12:00:00Z", "2026-12-02T08:00:00Z"),
    "yesterday there, today in UTC": ("2026-07-02T03:00:00Z", "2026-07-02T07:00:00Z"),
    "a second before midnight": ("2026-07-02T06:59:59Z", "2026-07-02T07:00:00Z"),
    "at midnight it is the next one": ("2026-07-02T07:00:00Z", "2026-07-03T07:00:00Z"),
    "the day that the clocks go forward, 23 hours long": ("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z"),
    "the day that the clocks go back, 25 hours long": ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"),
    "in the hour that comes twice": ("2026-11-01T09:30:00Z", "2026-11-02T08:00:00Z"),
    "the last day of a year": ("2026-12-31T20:00:00Z", "2027-01-01T08:00:00Z"),
}


@pytest.mark.parametrize("name", MIDNIGHTS)
@pytest.mark.parametrize("code", [30023, 30027])
def test_a_daily_cap_holds_until_midnight_in_california(name: str, code: int) -> None:
    now, midnight = MIDNIGHTS[name]
    found = stamp_code(code, About(ms(now)))
    assert (found.error, iso(found.hold_until_ms)) == (ErrorClass.DAILY_CAP, midnight)


@given(st.integers(ms("2020-01-01T00:00:00Z"), ms("2040-01-01T00:00:00Z")))
def test_every_midnight_is_ahead_by_at_most_25_hours_and_is_midnight(at: int) -> None:
    held = stamp_code(30023, About(at)).hold_until_ms
    assert 0 < held - at <= 25 * 3_600_000
    assert datetime.fromtimestamp(held / 1000, PACIFIC).strftime("%H:%M:%S") == "00:00:00"


MORNINGS = {
    "the evening before": ("2026-07-01T03:00:00Z", NEW_YORK, "2026-07-01T13:00:00Z"),
    "before dawn of the same day": ("2026-07-01T08:00:00Z", NEW_YORK, "2026-07-01T13:00:00Z"),
    "in winter": ("2026-12-02T03:00:00Z", NEW_YORK, "2026-12-02T14:00:00Z"),
    "on a Sunday at noon": ("2026-07-05T10:00:00Z", TEXAS, "2026-07-05T17:00:00Z"),
    "a place that is not known counts as California": ("2026-07-01T08:00:00Z", "", "2026-07-01T16:00:00Z"),
    "no number at all": ("2026-07-01T08:00:00Z", "whatsapp:someone", "2026-07-01T16:00:00Z"),
}


@pytest.mark.parametrize("name", MORNINGS)
def test_quiet_hours_hold_until_the_next_morning_where_the_person_is(name: str) -> None:
    now, to, morning = MORNINGS[name]
    assert iso(stamp_code(30610, About(ms(now), to)).hold_until_ms) == morning


def test_a_law_about_hours_holds_as_quiet_hours_do() -> None:
    about = About(ms("2026-07-01T08:00:00Z"), NEW_YORK)
    assert stamp_code(30615, about) == stamp_code(30610, about) and stamp_code(30615, about).hold_until_ms


@given(st.integers(0, 2**41), st.sampled_from([NEW_YORK, TEXAS, "+18085550101", "+441632960961", ""]))
def test_every_morning_is_ahead_by_less_than_two_days(at: int, to: str) -> None:
    assert 0 < stamp_code(30610, About(at, to)).hold_until_ms - at < 48 * 3_600_000


def test_a_landline_that_refuses_a_picture_may_take_a_text() -> None:
    assert stamp(21614, ErrorClass.NUMBER_INVALID, About(0, media=True)) == ErrorEnrichment(ErrorClass.MMS_IMPOSSIBLE)
    assert stamp(21614, ErrorClass.NUMBER_INVALID, About(0)) == ErrorEnrichment(ErrorClass.NUMBER_INVALID, 1)


@pytest.mark.parametrize(("sender", "error"), [(TOLL_FREE, ErrorClass.OPTED_OUT), (LONG, ErrorClass.FILTERED),
                                               ("", ErrorClass.FILTERED), ("88855", ErrorClass.FILTERED)])  # fmt: skip
def test_a_block_on_a_toll_free_number_is_the_networks_word_for_a_stop(sender: str, error: ErrorClass) -> None:
    assert stamp_code(30004, About(0, NEW_YORK, sender)).error is error


def test_how_many_failures_make_a_number_invalid() -> None:
    told = {code: after for code in ERRORS if (after := stamp_code(code, About(0)).invalid_after)}
    assert told == {21211: 1, 21265: 1, 21268: 1, 21614: 1, 21635: 1, 30006: 1, 30003: 5, 30005: 3}


def test_an_rcs_address_that_cannot_be_reached_says_nothing_of_the_number() -> None:
    assert stamp_code(63036, About(0)) == ErrorEnrichment(ErrorClass.SENDER_UNREACHABLE)


def test_a_report_carries_its_stamps() -> None:
    fields = {"MessageSid": "SM" + "a" * 32, "MessageStatus": "undelivered", "ErrorCode": "30023"}
    at = ms("2026-07-01T12:00:00Z")
    found = read_report(fields, {"m": "x", "a": "1"}, at)
    assert isinstance(found, Report) and found.hold_until_ms == ms("2026-07-02T07:00:00Z")
    blocked = read_report({**fields, "ErrorCode": "30004", "From": TOLL_FREE}, {"m": "x", "a": "1"}, at)
    assert isinstance(blocked, Report) and blocked.error is ErrorClass.OPTED_OUT


def test_the_time_zone_is_one_that_this_system_knows() -> None:
    assert ZoneInfo("America/Los_Angeles") is PACIFIC
