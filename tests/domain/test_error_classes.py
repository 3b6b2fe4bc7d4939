"""What each class of refusal and failure means for a message, as sentences; the lane's part is in `test_circuits`."""

import pytest

from app.domain.model.contact import segments_of
from app.domain.model.effects import LaneSlowed, PermitRequest, PermitSettlement
from app.domain.model.events import InputRefused, MediaDropped, OutcomeGiven
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Intent, OutcomeWord, Reason, Stage
from app.domain.rules.retry import FRAUD_MS, LONGEST_STOPPED_MS, STOPPED_MS
from tests.support.given import (
    HOUR_MS,
    MESSAGE,
    START_MS,
    ContactLog,
    abandoned,
    cancel,
    doubtful,
    due,
    given,
    listed,
    pictured,
    refused,
    report,
    requested,
    seen,
    taken,
    text,
    turn,
)

MIDNIGHT = START_MS + 1_800_000
OTHER = "b" * 20


def failed(error: ErrorClass, n: int = 1, code: int = 30000, **stamped: int):
    return report(DeliveryStatus.UNDELIVERED, n, f"SM{n}", code, error, **stamped)


def sent(*before: object, asking=None) -> ContactLog:
    """One attempt, taken by Twilio."""
    return given(*before, asking or requested(), turn(), taken())


def outcome(log: ContactLog) -> list[tuple[OutcomeWord, Reason]]:
    return [(event.word, event.reason) for event in log.said(OutcomeGiven)]


def retried(log: ContactLog, n: int = 2) -> ContactLog:
    """The time of the retry has come, and its turn."""
    log.then(due(DueKind.RETRY, log.message().due_ms))
    assert [effect.attempt for effect in log.effects if isinstance(effect, PermitRequest)] == [n]
    return log.then(turn(n), taken(n, f"SM{n}"))


def test_opted_out_by_an_answer_ends_suppressed_and_closes_the_person() -> None:
    log = given(requested(), turn(), refused(ErrorClass.OPTED_OUT, code=21610))
    assert outcome(log) == [(OutcomeWord.SUPPRESSED, Reason.OPTED_OUT)] and log.contact.consent.opted_out


@pytest.mark.parametrize("code", [21610, 30004, 30640])
def test_opted_out_by_a_report_closes_the_person_and_the_evidence_names_the_code(code: int) -> None:
    log = sent().then(failed(ErrorClass.OPTED_OUT, code=code), requested(OTHER))
    assert log.contact.consent.source == f"twilio_{code}"
    assert outcome(log) == [(OutcomeWord.SUPPRESSED, Reason.OPTED_OUT)]


FINAL = [
    ErrorClass.SENDER_UNREACHABLE,
    ErrorClass.MMS_IMPOSSIBLE,
    ErrorClass.REQUEST,
    ErrorClass.AMBIGUOUS,
    ErrorClass.UNKNOWN,
]


@pytest.mark.parametrize("error", FINAL)
def test_what_no_repetition_would_mend_ends_the_message_with_its_class_for_a_reason(error: ErrorClass) -> None:
    assert outcome(given(requested(), turn(), refused(error))) == [(OutcomeWord.FAILED, Reason(error.value))]
    log = sent().then(failed(error))
    assert outcome(log) == [(OutcomeWord.UNDELIVERED, Reason(error.value))]
    assert given(requested(), turn(), taken(), failed(error), requested(OTHER)).message(OTHER).stage is Stage.WAITING


@pytest.mark.parametrize("sync", [True, False])
def test_a_request_that_cannot_be_sent_is_a_dead_letter_once_that_names_message_and_code(sync: bool) -> None:
    told = refused(ErrorClass.REQUEST, code=21617) if sync else failed(ErrorClass.REQUEST, code=21617)
    log = given(requested(), turn(), *(() if sync else (taken(),)), told)
    rule = f"says that the request of message {MESSAGE} cannot be sent: 21617"
    assert log.said(InputRefused) == [InputRefused(field="code", rule=rule)]
    assert log.then(told).said(InputRefused) == []


@pytest.mark.parametrize("error", [error for error in ErrorClass if error is not ErrorClass.REQUEST])
def test_no_other_refusal_is_a_dead_letter(error: ErrorClass) -> None:
    assert given(requested(), turn(), refused(error)).said(InputRefused) == []
    assert sent().then(failed(error)).said(InputRefused) == []


@pytest.mark.parametrize("error", [ErrorClass.THROTTLED, ErrorClass.TRANSIENT])
def test_throttled_and_transient_refusals_wait_and_ask_again(error: ErrorClass) -> None:
    log = given(requested(), turn(), refused(error, retry_after_ms=7000))
    assert log.message().due_ms == log.now_ms + 7000
    retried(log)


def test_a_throttled_report_is_tried_again_and_slows_the_lane() -> None:
    log = sent().then(failed(ErrorClass.THROTTLED, code=30022))
    assert [(e.error, e.hold_ms) for e in log.effects if isinstance(e, LaneSlowed)] == [(ErrorClass.THROTTLED, 1000)]
    retried(log)


def test_an_expired_validity_is_tried_again_while_it_may_still_go() -> None:
    assert sent().then(failed(ErrorClass.EXPIRED, code=30036)).message().stage is Stage.RETRYING
    log = sent(asking=requested(expires_ms=START_MS + 4_500))
    assert outcome(log.then(failed(ErrorClass.EXPIRED, code=30036))) == [(OutcomeWord.UNDELIVERED, Reason.EXPIRED)]


@pytest.mark.parametrize("error", [ErrorClass.DAILY_CAP, ErrorClass.QUIET_HOURS])
def test_a_capped_or_untimely_text_is_held_until_the_time_stamped_at_the_door(error: ErrorClass) -> None:
    log = sent().then(failed(error, hold_until_ms=MIDNIGHT))
    assert (log.message().stage, log.message().due_ms, log.message().reason) == (
        Stage.RETRYING,
        MIDNIGHT,
        Reason(error.value),
    )
    assert not [effect for effect in log.effects if isinstance(effect, LaneSlowed)]
    retried(log).then(report(DeliveryStatus.DELIVERED, 2, "SM2"))
    assert outcome(log) == [(OutcomeWord.DELIVERED, Reason.REPORTED)]


@pytest.mark.parametrize("error", [ErrorClass.DAILY_CAP, ErrorClass.QUIET_HOURS])
def test_a_text_that_expires_before_its_hold_is_over_ends_at_once(error: ErrorClass) -> None:
    after = START_MS + HOUR_MS
    assert outcome(sent().then(failed(error, hold_until_ms=after))) == [(OutcomeWord.UNDELIVERED, Reason(error.value))]
    log = given(requested(), turn(), refused(error, hold_until_ms=after))
    assert outcome(log) == [(OutcomeWord.FAILED, Reason(error.value))]


def test_a_daily_cap_told_by_a_refusal_is_held_too() -> None:
    log = given(requested(), turn(), refused(ErrorClass.DAILY_CAP, hold_until_ms=MIDNIGHT))
    assert log.message().due_ms == MIDNIGHT


def test_a_cap_met_while_a_retry_waits_puts_the_retry_off() -> None:
    log = sent().then(report(DeliveryStatus.FAILED, code=30017, error=ErrorClass.TRANSIENT))
    log.then(failed(ErrorClass.DAILY_CAP, hold_until_ms=MIDNIGHT))
    assert (log.message().stage, log.message().due_ms) == (Stage.RETRYING, MIDNIGHT)


ENDS = [ErrorClass.SENDER_UNREACHABLE, ErrorClass.OPTED_OUT, ErrorClass.NUMBER_INVALID, ErrorClass.FILTERED]


@pytest.mark.parametrize("error", ENDS)
def test_a_failure_that_allows_no_retry_ends_one_that_waits_with_one_outcome(error: ErrorClass) -> None:
    log = sent().then(report(DeliveryStatus.FAILED, code=30017, error=ErrorClass.TRANSIENT))
    log.then(failed(error, invalid_after=int(error is ErrorClass.NUMBER_INVALID)))
    assert outcome(log) == [(OutcomeWord.UNDELIVERED, Reason(error.value))]


@pytest.mark.parametrize("sync", [True, False])
def test_a_fraud_block_is_tried_once_more_after_half_an_hour(sync: bool) -> None:
    def met(n: int = 1):
        return refused(ErrorClass.FRAUD_BLOCK, n) if sync else failed(ErrorClass.FRAUD_BLOCK, n, 30450)

    log = given(requested(), turn(), *(() if sync else (taken(),)), met())
    assert log.message().due_ms == log.now_ms + FRAUD_MS and not log.effects
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), *(() if sync else (taken(2, "SM2"),)), met(2))
    assert outcome(log) == [(OutcomeWord.FAILED if sync else OutcomeWord.UNDELIVERED, Reason.FRAUD_BLOCK)]


def test_refused_by_configuration_it_waits_ever_longer_until_it_expires() -> None:
    log, waits = given(requested(expires_ms=START_MS + 100 * HOUR_MS), turn(), refused(ErrorClass.CONFIGURATION)), []
    for n in range(2, 9):
        waits.append(log.message().due_ms - log.now_ms)
        log.then(due(DueKind.RETRY, log.message().due_ms), turn(n), refused(ErrorClass.CONFIGURATION, n))
    assert [*waits[:2], waits[-1]] == pytest.approx([STOPPED_MS, 2 * STOPPED_MS, LONGEST_STOPPED_MS], rel=0.2)
    log.then(due(DueKind.EXPIRE, log.message().policy.expires_ms))
    assert outcome(log) == [(OutcomeWord.EXPIRED, Reason.EXPIRED)]


def test_failed_by_configuration_after_acceptance_it_waits_too() -> None:
    log = sent().then(failed(ErrorClass.CONFIGURATION, code=30034))
    assert (log.message().stage, log.message().reason) == (Stage.RETRYING, Reason.CONFIGURATION)
    log.then(due(DueKind.EXPIRE, log.message().policy.expires_ms))
    assert outcome(log) == [(OutcomeWord.UNDELIVERED, Reason.CONFIGURATION)]


# MMS impossible


@pytest.mark.parametrize("sync", [True, False])
def test_media_that_cannot_be_received_go_as_one_text_with_the_link(sync: bool) -> None:
    met = refused(ErrorClass.MMS_IMPOSSIBLE, code=21614) if sync else failed(ErrorClass.MMS_IMPOSSIBLE, code=30011)
    log = given(pictured(), turn(), *(() if sync else (taken(),)), met)
    assert len(log.said(MediaDropped)) == 1 and log.message().due_ms == log.now_ms
    log.then(due(DueKind.RETRY, log.message().due_ms))
    assert [(e.attempt, e.segments) for e in log.effects if isinstance(e, PermitRequest)] == [(2, 2)]
    log.then(turn(2), taken(2, "SM2"), report(DeliveryStatus.DELIVERED, 2, "SM2"))
    assert outcome(log) == [(OutcomeWord.DELIVERED, Reason.REPORTED)]
    assert [attempt.plain for attempt in log.message().attempts] == [False, True] and not log.message().duplicate


def test_the_text_with_the_link_is_tried_once_as_such_and_stays_plain_through_retries() -> None:
    log = retried(sent(asking=pictured()).then(failed(ErrorClass.MMS_IMPOSSIBLE)))
    assert outcome(log.then(failed(ErrorClass.MMS_IMPOSSIBLE, 2))) == [(OutcomeWord.UNDELIVERED, Reason.MMS_IMPOSSIBLE)]
    log = given(pictured(retry_delays_ms=(1000, 1000)), turn(), refused(ErrorClass.MMS_IMPOSSIBLE))
    retried(log).then(failed(ErrorClass.TRANSIENT, 2))
    retried(log, 3)
    assert [attempt.plain for attempt in log.message().attempts] == [False, True, True]


def test_without_a_link_media_that_cannot_be_received_end_the_message() -> None:
    log = given(pictured(fallback_segments=0), turn(), refused(ErrorClass.MMS_IMPOSSIBLE))
    assert outcome(log) == [(OutcomeWord.FAILED, Reason.MMS_IMPOSSIBLE)] and segments_of(log.message()) == 1


def test_p2_no_text_with_a_link_while_an_earlier_attempt_may_have_been_sent() -> None:
    log = given(pictured(resend_after_ms=5000), turn(), doubtful())
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), refused(ErrorClass.MMS_IMPOSSIBLE, 2))
    assert not [effect for effect in log.effects if isinstance(effect, PermitRequest)]
    assert log.message().stage is Stage.FLYING and len(log.message().attempts) == 2


@pytest.mark.parametrize("forbids", [text(Intent.STOP), cancel()])
def test_p3_a_stop_or_cancel_keeps_the_text_with_the_link_back(forbids) -> None:
    log = sent(asking=pictured()).then(forbids, failed(ErrorClass.MMS_IMPOSSIBLE))
    assert log.message().word is OutcomeWord.UNDELIVERED and not log.said(MediaDropped)
    log = sent(asking=pictured()).then(failed(ErrorClass.MMS_IMPOSSIBLE), forbids)
    assert log.message().stage is Stage.FINAL


# Filtered


def test_a_filtered_text_is_never_sent_again_to_that_person_and_another_text_is() -> None:
    log = sent().then(failed(ErrorClass.FILTERED, code=30007))
    assert outcome(log) == [(OutcomeWord.UNDELIVERED, Reason.FILTERED)]
    assert outcome(log.then(requested(OTHER))) == [(OutcomeWord.SUPPRESSED, Reason.FILTERED)]
    log.then(requested("c" * 20, digest="d9"), requested("d" * 20, digest=""))
    assert log.message("c" * 20).stage is log.message("d" * 20).stage is Stage.WAITING


def test_the_same_text_that_waits_meanwhile_is_suppressed_and_its_ask_withdrawn() -> None:
    log = given(requested(), turn(), requested(OTHER), taken(), failed(ErrorClass.FILTERED))
    assert log.message(OTHER).word is OutcomeWord.SUPPRESSED
    assert PermitSettlement(message_id=log.message(OTHER).id, attempt=1, lane="main", taken=False) in log.effects


def test_a_filtered_text_that_arrived_after_all_may_be_sent_again() -> None:
    log = sent().then(
        failed(ErrorClass.FILTERED), report(DeliveryStatus.DELIVERED), failed(ErrorClass.FILTERED, code=30099)
    )
    assert log.contact.filtered == ()
    assert log.then(requested(OTHER)).message(OTHER).stage is Stage.WAITING


def test_of_a_filtered_text_with_a_link_that_text_is_remembered_not_the_one_with_media() -> None:
    log = retried(sent(asking=pictured()).then(failed(ErrorClass.MMS_IMPOSSIBLE))).then(failed(ErrorClass.FILTERED, 2))
    assert log.contact.filtered == ("d2",)


def test_a_turn_that_comes_for_a_text_filtered_since_starts_no_call() -> None:
    log = given(requested(), turn(), abandoned(), requested(OTHER), turn(1, OTHER), taken(1, "SM9", OTHER))
    log.then(report(DeliveryStatus.FAILED, 1, "SM9", 30007, ErrorClass.FILTERED, OTHER), turn(2))
    assert log.message().word is OutcomeWord.SUPPRESSED and len(log.message().attempts) == 1
    assert log.message().id == MESSAGE


def test_what_the_door_did_not_stamp_is_not_held() -> None:
    assert outcome(sent().then(failed(ErrorClass.DAILY_CAP))) == [(OutcomeWord.UNDELIVERED, Reason.DAILY_CAP)]


def test_a_canceled_message_whose_call_is_refused_waits_for_no_other_attempt() -> None:
    log = given(requested(), turn(), cancel(), refused(ErrorClass.THROTTLED))
    assert outcome(log) == [(OutcomeWord.FAILED, Reason.THROTTLED)]


def test_a_text_with_a_link_in_doubt_is_found_on_twilios_list_by_its_own_digest() -> None:
    log = given(pictured(), turn(), refused(ErrorClass.MMS_IMPOSSIBLE))
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), doubtful(2))
    created = log.message().attempts[1].claimed_ms + 1000
    log.then(listed(seen("SM8", created_ms=created, digest="d1")))
    assert log.message().attempts[1].sid == ""
    log.then(listed(seen("SM9", created_ms=created, digest="d2")))
    assert log.message().attempts[1].sid == "SM9"
