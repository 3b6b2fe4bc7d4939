"""Vendor words end at one table: every code of the policy has a class of ours, every status a rank."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass
from app.provider.callbacks import InboundText, Report, UnmatchedReport, read_report, read_text
from app.provider.status_mapping import ERRORS, PROGRESS, entries, error_class

POLICY = entries()
# Codes that never come with an attempt of ours: faults of our webhook, inbound texts, warnings, Twilio's own unknown.
ELSEWHERE = {"our-endpoint", "inbound", "inbound-loop", "warning", "unknown", "obsolete"}
MESSAGE = "0123456789abcdef0123-0123456789abcdef0123"
SID = "SM" + "a" * 32
# message_enum_status of Twilio's OpenAPI, inbound ones left out.
STATUSES = {"scheduled", "accepted", "queued", "sending", "sent", "delivered", "undelivered", "failed", "canceled",
            "partially_delivered", "read"}  # fmt: skip


def test_every_code_that_can_end_an_attempt_has_a_class() -> None:
    without = {entry["code"] for entry in POLICY if error_class(entry["code"]) is ErrorClass.UNKNOWN}
    assert without == {entry["code"] for entry in POLICY if entry["class"] in ELSEWHERE}


def test_every_status_of_twilio_has_a_rank_and_delivered_is_above_every_failure() -> None:
    assert set(PROGRESS) == STATUSES
    assert PROGRESS["delivered"] > max(PROGRESS["undelivered"], PROGRESS["failed"], PROGRESS["canceled"])
    ordered = [PROGRESS[word] for word in ("accepted", "queued", "sending", "sent", "delivered", "read")]
    assert ordered == sorted(set(ordered))


NAMED = {
    21610: ErrorClass.OPTED_OUT,
    21211: ErrorClass.NUMBER_INVALID,
    21614: ErrorClass.NUMBER_INVALID,
    30003: ErrorClass.NUMBER_UNREACHABLE,
    30007: ErrorClass.FILTERED,
    20429: ErrorClass.THROTTLED,
    20003: ErrorClass.CONFIGURATION,
    21408: ErrorClass.SENDER_UNREACHABLE,
    30008: ErrorClass.UNKNOWN,
    # What Twilio split from 21211, 21212, 21606 and 21614 in July 2024.
    21265: ErrorClass.NUMBER_INVALID,
    21266: ErrorClass.REQUEST,
    21267: ErrorClass.CONFIGURATION,
    21268: ErrorClass.NUMBER_INVALID,
    21635: ErrorClass.NUMBER_INVALID,
    21659: ErrorClass.CONFIGURATION,
    21660: ErrorClass.CONFIGURATION,
    21661: ErrorClass.CONFIGURATION,
    # Other codes newer than the list of 2023, or left out of it.
    21662: ErrorClass.SENDER_UNREACHABLE,
    21663: ErrorClass.CONFIGURATION,
    21665: ErrorClass.CONFIGURATION,
    21670: ErrorClass.MMS_IMPOSSIBLE,
    30040: ErrorClass.SENDER_UNREACHABLE,
    30041: ErrorClass.SENDER_UNREACHABLE,
    30042: ErrorClass.CONFIGURATION,
    30044: ErrorClass.REQUEST,
    30453: ErrorClass.FRAUD_BLOCK,
    30454: ErrorClass.THROTTLED,
    30500: ErrorClass.AMBIGUOUS,
    30615: ErrorClass.QUIET_HOURS,
    30630: ErrorClass.OPTED_OUT,
    35117: ErrorClass.REQUEST,
    90007: ErrorClass.REQUEST,
    572002: ErrorClass.SENDER_UNREACHABLE,
}


@pytest.mark.parametrize("code", NAMED)
def test_the_codes_that_decide_most_are_classed_as_meant(code: int) -> None:
    assert error_class(code) is NAMED[code]


@given(st.none() | st.integers(), st.integers(0, 599))
def test_a_code_not_listed_is_unknown_and_never_a_crash(code: int | None, status: int) -> None:
    found = error_class(code, status)
    assert isinstance(found, ErrorClass)
    if code is not None and code not in ERRORS and status != 429:
        assert found is ErrorClass.UNKNOWN


def test_no_code_is_on_the_lists_twice() -> None:
    codes = [entry["code"] for entry in POLICY]
    assert sorted(codes) == sorted(set(codes))


def report(query: dict[str, str] | None = None, **fields: str) -> Report | UnmatchedReport:
    whole = {"MessageSid": SID, "MessageStatus": "sent", **fields}
    return read_report(whole, {"m": MESSAGE, "a": "1"} if query is None else query)


def test_a_report_says_which_attempt_how_far_and_why() -> None:
    found = report(
        {"m": MESSAGE, "a": "3"}, MessageStatus="undelivered", ErrorCode="30003", RawDlrDoneDate="2611241042"
    )
    assert found == Report(
        message_id=MESSAGE,
        attempt=3,
        sid=SID,
        progress=DeliveryStatus.UNDELIVERED,
        status="undelivered",
        code=30003,
        error=ErrorClass.NUMBER_UNREACHABLE,
        carrier_done="2611241042",
        invalid_after=5,
    )


def test_older_names_of_sid_and_status_are_read() -> None:
    found = read_report({"SmsSid": SID, "SmsStatus": "Delivered"}, {"m": MESSAGE, "a": "1"})
    assert isinstance(found, Report) and (found.sid, found.progress) == (SID, DeliveryStatus.DELIVERED)


NO_ATTEMPT = ["", "0", "x", "-1", "1.5", "²", "٣", "1" * 7]


@pytest.mark.parametrize("attempt", NO_ATTEMPT)
def test_a_report_without_the_number_of_an_attempt_is_not_placed(attempt: str) -> None:
    assert report({"m": MESSAGE, "a": attempt}) == UnmatchedReport("a", "is not the number of an attempt")


@pytest.mark.parametrize("code", ["", "0", "x", "²", "9" * 10])
def test_an_error_code_that_is_no_number_is_no_error(code: str) -> None:
    found = report(ErrorCode=code)
    assert isinstance(found, Report) and found.code is None and found.error is None


@pytest.mark.parametrize("done", ["", "today", "26112410", "2611241042; drop"])
def test_a_carriers_date_of_another_form_is_left_out(done: str) -> None:
    found = report(RawDlrDoneDate=done)
    assert isinstance(found, Report) and found.carrier_done == ""


def test_a_status_or_sid_that_we_do_not_know_is_not_placed() -> None:
    assert report(MessageStatus="teleported") == UnmatchedReport("MessageStatus", "is not a status that we know")
    assert report(MessageSid="+14155550123") == UnmatchedReport("MessageSid", "is not a message SID")


def text(**fields: str) -> InboundText | UnmatchedReport:
    return read_text({"MessageSid": SID, "From": "+14155550123", "To": "+15005550006", "Body": " STOP ", **fields})


def test_a_text_is_read_with_its_media_in_order_and_its_blanks() -> None:
    media = {f"MediaUrl{n}": f"https://example.com/{n}" for n in range(12)}
    found = text(OptOutType="stop", MessagingServiceSid="MG" + "b" * 32, **media)
    assert isinstance(found, InboundText)
    assert (found.body, found.opt_out_type, found.service) == (" STOP ", "STOP", "MG" + "b" * 32)
    assert found.media == tuple(f"https://example.com/{n}" for n in range(10))


def test_p8_what_is_no_keyword_type_and_no_service_is_left_out_and_a_text_shows_nothing() -> None:
    found = text(OptOutType="call +14155550123", MessagingServiceSid="+14155550123")
    assert isinstance(found, InboundText) and (found.opt_out_type, found.service) == ("", "")
    assert "555" not in repr(found) and "STOP" not in repr(found)


def test_a_text_from_nobody_is_not_placed() -> None:
    assert text(From=" ") == UnmatchedReport("From", "is missing")
