"""Numbers that turn out invalid, and are valid again, as sentences."""

import msgspec
import pytest

from app.domain.model.events import InputRefused, OutcomeGiven
from app.domain.model.number_events import FailuresForgotten, NumberChanged, NumberFailed
from app.domain.model.row_limits import FAILURES_KEPT_MS
from app.domain.model.vocabulary import (
    DeliveryStatus,
    DueKind,
    ErrorClass,
    Intent,
    OutcomeWord,
    Provenance,
    Reason,
    Stage,
)
from tests.support.given import (
    START_MS,
    ContactLog,
    due,
    given,
    listed,
    refused,
    report,
    requested,
    seen,
    taken,
    text,
    turn,
)

INVALID, UNREACHABLE = ErrorClass.NUMBER_INVALID, ErrorClass.NUMBER_UNREACHABLE
NEVER = START_MS + 10**12


def key(n: int) -> str:
    return f"{n:020x}"


def fail(log: ContactLog, n: int, after: int, error: ErrorClass = UNREACHABLE, code: int = 30003) -> ContactLog:
    """Message `n` goes out and does not arrive."""
    asked = requested(key(n), digest="", expires_ms=NEVER, outcome_ms=NEVER + 1)
    log.then(asked, turn(1, key(n)), taken(1, f"SM{n}", key(n)))
    return log.then(report(DeliveryStatus.UNDELIVERED, 1, f"SM{n}", code, error, key(n), invalid_after=after))


def invalid() -> ContactLog:
    return given(requested(), turn(), refused(INVALID, code=21211, invalid_after=1))


def changes(log: ContactLog) -> list[tuple[ErrorClass | None, str]]:
    return [(event.why, event.by) for event in log.said(NumberChanged)]


@pytest.mark.parametrize("code", [21211, 21614, 21635])
def test_a_number_refused_as_impossible_is_invalid_at_once(code: int) -> None:
    log = given(requested(), turn(), refused(INVALID, code=code, invalid_after=1))
    assert changes(log) == [(INVALID, "number_invalid")] and log.contact.number.code == code
    assert log.message().word is OutcomeWord.FAILED


def test_a_landline_told_by_a_report_is_invalid_at_once() -> None:
    assert changes(fail(ContactLog(), 1, 1, INVALID, 30006)) == [(INVALID, "number_invalid")]


def test_a_message_to_an_invalid_number_is_suppressed_with_that_reason_and_asks_for_no_turn() -> None:
    log = invalid().then(requested(key(2)))
    assert [(e.word, e.reason) for e in log.said(OutcomeGiven)] == [(OutcomeWord.SUPPRESSED, Reason.NUMBER_INVALID)]
    assert log.effects == []


def test_what_waits_for_a_number_that_turns_out_invalid_is_suppressed() -> None:
    log = given(requested(), turn(), requested(key(2), start_ms=NEVER, expires_ms=NEVER + 1), requested(key(3)))
    log.then(refused(INVALID, code=21211, invalid_after=1))
    assert {log.message(key(n)).word for n in (2, 3)} == {OutcomeWord.SUPPRESSED}


@pytest.mark.parametrize("after", [3, 5])
def test_a_number_not_reached_by_so_many_messages_is_invalid(after: int) -> None:
    log = ContactLog()
    for n in range(1, after):
        assert changes(fail(log, n, after)) == []
        assert log.contact.number.why is None
    assert changes(fail(log, after, after)) == [(UNREACHABLE, "number_unreachable")]
    assert log.contact.number.failures == ()


def test_a_failure_that_weighs_more_counts_among_those_that_weigh_less() -> None:
    log = fail(fail(fail(fail(ContactLog(), 1, 5), 2, 5), 3, 3), 4, 3)
    assert log.contact.number.why is None
    assert changes(fail(log, 5, 5)) == [(UNREACHABLE, "number_unreachable")]


def test_the_failures_of_one_message_count_once() -> None:
    log = ContactLog()
    fail(log, 1, 2)
    log.then(report(DeliveryStatus.FAILED, 1, "SM1", 30003, UNREACHABLE, key(1), invalid_after=2))
    assert changes(log) == [] and len(log.contact.number.failures) == 1
    assert log.said(NumberFailed) == []


def test_of_the_failures_of_one_message_the_one_that_weighs_most_is_kept() -> None:
    log = fail(ContactLog(), 1, 5)
    log.then(report(DeliveryStatus.FAILED, 1, "SM1", 30005, UNREACHABLE, key(1), invalid_after=3))
    assert [failure.invalid_after for failure in log.contact.number.failures] == [3]
    log.then(report(DeliveryStatus.FAILED, 1, "SM1", 30003, UNREACHABLE, key(1), invalid_after=5))
    assert [failure.invalid_after for failure in log.contact.number.failures] == [3]


def test_a_failure_of_a_month_ago_counts_no_more() -> None:
    log = fail(ContactLog(), 1, 2)
    log.now_ms += FAILURES_KEPT_MS + 1
    assert changes(fail(log, 2, 2)) == [] and len(log.contact.number.failures) == 1


def test_a_delivery_between_begins_the_count_anew() -> None:
    log = fail(ContactLog(), 1, 2)
    log.then(requested(key(7), digest=""), turn(1, key(7)), taken(1, "SM7", key(7)))
    log.then(report(DeliveryStatus.DELIVERED, 1, "SM7", key=key(7)))
    assert len(log.said(FailuresForgotten)) == 1
    assert changes(fail(log, 2, 2)) == []


def test_a_text_from_the_person_makes_the_number_valid_again() -> None:
    log = invalid().then(text(Intent.NONE))
    assert changes(log) == [(None, "texted")]
    assert log.then(requested(key(2))).message(key(2)).stage is Stage.WAITING


def test_a_delivery_makes_the_number_valid_again() -> None:
    log = given(requested(key(7)), turn(1, key(7)), taken(1, "SM7", key(7)))
    log.then(
        requested(), turn(), refused(INVALID, invalid_after=1), report(DeliveryStatus.DELIVERED, 1, "SM7", key=key(7))
    )
    assert changes(log) == [(None, "delivered")]
    assert log.then(requested(key(2))).message(key(2)).stage is Stage.WAITING


@pytest.mark.parametrize("last", [DeliveryStatus.UNDELIVERED, DeliveryStatus.DELIVERED])
def test_p5_of_one_attempt_reported_as_both_delivered_and_not_the_number_is_valid(last: DeliveryStatus) -> None:
    bad = report(DeliveryStatus.UNDELIVERED, code=30006, error=INVALID, invalid_after=1)
    good = report(DeliveryStatus.DELIVERED)
    both = (good, bad) if last is DeliveryStatus.UNDELIVERED else (bad, good)
    assert given(requested(), turn(), taken(), *both).contact.number.why is None


def test_a_late_failure_of_what_was_delivered_does_not_make_an_invalid_number_valid() -> None:
    log = given(requested(), turn(), taken(), report(DeliveryStatus.DELIVERED))
    fail(log, 2, 1, INVALID)
    log.then(report(DeliveryStatus.UNDELIVERED, code=30006, error=INVALID, invalid_after=1))
    assert changes(log) == [] and log.contact.number.why is INVALID


def test_a_text_found_on_the_list_that_is_older_than_the_refusal_changes_nothing() -> None:
    log = invalid()
    found = msgspec.structs.replace(text(Intent.NONE, START_MS - 1000), provenance=Provenance.RECONCILED)
    assert changes(log.then(found)) == []
    assert changes(log.then(text(Intent.NONE, log.now_ms, "SM-new"))) == [(None, "texted")]


def test_what_twilios_list_tells_of_a_number_counts_as_a_report_does() -> None:
    log = given(requested(), turn(), taken(sid="SM1"))
    log.then(listed(seen("SM1", DeliveryStatus.UNDELIVERED, code=30006, error=INVALID, invalid_after=1)))
    assert changes(log) == [(INVALID, "number_invalid")]


def test_a_report_on_a_message_that_is_over_is_learnt_too() -> None:
    log = given(requested(), turn(), taken(), report(DeliveryStatus.SENT))
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms))
    log.then(report(DeliveryStatus.UNDELIVERED, code=30006, error=INVALID, invalid_after=1))
    assert changes(log) == [(INVALID, "number_invalid")] and log.said(InputRefused) == []


def test_records_of_a_time_before_stamps_say_nothing_of_the_number() -> None:
    assert given(requested(), turn(), refused(INVALID, code=21211)).contact.number.why is None
