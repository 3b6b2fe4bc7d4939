"""The life of a message, as sentences."""

import pytest
from msgspec.structs import replace

from app.domain.model.effects import LaneSlowed, PermitRequest, PermitSettlement
from app.domain.model.events import InputRefused, MessageOpened, OutcomeGiven, RequestConflicted, RequestRepeated
from app.domain.model.vocabulary import (
    CreateResult,
    DeliveryStatus,
    DueKind,
    ErrorClass,
    Intent,
    OutcomeWord,
    Reason,
    Stage,
)
from app.domain.rules.schedule import dues
from tests.support.given import (
    HOUR_MS,
    KEY,
    MESSAGE,
    START_MS,
    abandoned,
    cancel,
    doubtful,
    due,
    given,
    refused,
    rejected,
    report,
    requested,
    taken,
    text,
    turn,
)


def test_an_accepted_request_asks_its_lane_for_a_turn():
    log = given(requested())
    assert log.message().stage is Stage.WAITING
    assert [e for e in log.effects if isinstance(e, PermitRequest)][0].attempt == 1


def test_a_granted_turn_claims_the_attempt_and_is_answered_taken():
    log = given(requested(), turn())
    assert log.message().stage is Stage.FLYING
    assert log.effects == [PermitSettlement(message_id=MESSAGE, attempt=1, lane="main", taken=True)]


def test_a_turn_granted_twice_starts_one_attempt():
    log = given(requested(), turn(), turn())
    assert len(log.message().attempts) == 1
    assert log.effects == [PermitSettlement(message_id=MESSAGE, attempt=1, lane="main", taken=True)]


def test_a_delivered_report_gives_the_outcome():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.DELIVERED))
    assert [e.word for e in log.said(OutcomeGiven)] == [OutcomeWord.DELIVERED]
    assert log.message().revision == 1


def test_a_late_sent_report_leaves_a_delivered_message_delivered():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.DELIVERED), report(DeliveryStatus.SENT))
    assert log.message().attempts[0].progress is DeliveryStatus.DELIVERED
    assert log.message().word is OutcomeWord.DELIVERED
    assert log.said(OutcomeGiven) == []


def test_a_late_delivered_after_undelivered_is_revision_two_and_both_are_kept():
    log = given(
        requested(), turn(), taken(), report(DeliveryStatus.UNDELIVERED, code=30003), report(DeliveryStatus.DELIVERED)
    )
    assert (log.message().word, log.message().revision) == (OutcomeWord.DELIVERED, 2)
    assert {step.progress for step in log.message().attempts[0].learnt} >= {
        DeliveryStatus.UNDELIVERED,
        DeliveryStatus.DELIVERED,
    }


def test_undelivered_after_delivered_changes_nothing_but_is_kept():
    log = given(
        requested(), turn(), taken(), report(DeliveryStatus.DELIVERED), report(DeliveryStatus.UNDELIVERED, code=30003)
    )
    assert (log.message().word, log.message().revision) == (OutcomeWord.DELIVERED, 1)
    assert log.message().attempts[0].learnt[-1].code == 30003


def test_a_report_that_comes_before_the_answer_stands_for_it():
    log = given(requested(), turn(), report(DeliveryStatus.SENT, sid="SM7"), taken(sid="SM7"))
    assert log.message().attempts[0].sid == "SM7"
    assert log.message().attempts[0].progress is DeliveryStatus.SENT


def test_a_report_of_another_sid_is_refused():
    log = given(requested(), turn(), taken(sid="SM1"), report(DeliveryStatus.SENT, sid="SM2"))
    assert [e.field for e in log.said(InputRefused)] == ["sid"]


def test_a_report_of_an_unknown_message_is_refused():
    assert [e.field for e in given(report(DeliveryStatus.SENT)).said(InputRefused)] == ["message_id"]


def test_the_same_request_twice_is_nothing_new():
    log = given(requested(), requested())
    assert log.events == [] and log.effects == []


def test_the_same_request_in_another_record_is_answered_as_a_repeat_and_in_the_same_record_not_at_all():
    again = replace(requested(), source="notify.requests-0-9")
    assert given(requested(), requested()).said(RequestRepeated) == []
    assert len(given(requested(), again).said(RequestRepeated)) == 1
    assert given(requested(), again).said(RequestConflicted) == []


def test_the_same_key_with_other_content_is_a_conflict_and_sends_nothing():
    log = given(requested(), requested(fingerprint="other"))
    assert len(log.said(RequestConflicted)) == 1
    assert log.effects == []


def test_a_request_refused_at_the_door_ends_rejected_with_field_and_rule():
    log = given(rejected())
    assert [(e.word, e.field) for e in log.said(OutcomeGiven)] == [(OutcomeWord.REJECTED, "body")]


def test_a_stranger_of_a_sandbox_ends_rejected_with_that_reason():
    log = given(rejected(reason=Reason.SANDBOXED))
    assert [(e.word, e.reason) for e in log.said(OutcomeGiven)] == [(OutcomeWord.REJECTED, Reason.SANDBOXED)]


def test_a_message_that_met_a_sandbox_only_at_its_call_ends_rejected_and_is_not_asked_for_again():
    log = given(requested(), turn(), refused(ErrorClass.SANDBOXED))
    assert [(e.word, e.reason) for e in log.said(OutcomeGiven)] == [(OutcomeWord.REJECTED, Reason.SANDBOXED)]


def test_a_call_abandoned_because_its_time_was_over_ends_the_message_whatever_the_log_says_the_time_is():
    log = given(requested(), turn(), abandoned(why="expired"))
    assert [(e.word, e.reason) for e in log.said(OutcomeGiven)] == [(OutcomeWord.EXPIRED, Reason.EXPIRED)]


def test_a_rejected_repeat_of_an_accepted_key_is_a_conflict_not_a_second_outcome():
    log = given(requested(), rejected())
    assert len(log.said(RequestConflicted)) == 1 and log.said(OutcomeGiven) == []


def test_too_many_open_messages_are_rejected():
    log = given(*(requested(f"{i:020x}", max_open=2) for i in range(3)))
    assert [e.reason for e in log.said(OutcomeGiven)] == [Reason.TOO_MANY_OPEN]


def test_a_throttled_call_waits_and_holds_the_lane():
    log = given(requested(), turn(), refused(ErrorClass.THROTTLED, code=20429))
    assert log.message().stage is Stage.RETRYING
    assert any(isinstance(e, LaneSlowed) for e in log.effects)


def test_a_retry_that_comes_due_asks_for_the_next_attempt():
    log = given(requested(), turn(), refused(ErrorClass.THROTTLED, code=20429))
    log.then(due(DueKind.RETRY, log.message().due_ms))
    assert [e.attempt for e in log.effects if isinstance(e, PermitRequest)] == [2]


def test_a_refused_number_ends_the_message_failed():
    log = given(requested(), turn(), refused(ErrorClass.NUMBER_INVALID, code=21211))
    assert [(e.word, e.reason) for e in log.said(OutcomeGiven)] == [(OutcomeWord.FAILED, Reason.NUMBER_INVALID)]


def test_a_doubtful_call_is_never_sent_again():
    log = given(requested(), turn(), doubtful())
    assert log.message().stage is Stage.FLYING and log.message().attempts[0].doubtful
    assert not [e for e in log.effects if isinstance(e, PermitRequest)]


def test_a_doubtful_call_ends_in_doubt_at_its_deadline():
    log = given(requested(), turn(), doubtful())
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms))
    assert [e.word for e in log.said(OutcomeGiven)] == [OutcomeWord.IN_DOUBT]


def test_a_report_resolves_the_doubt():
    log = given(requested(), turn(), doubtful(), report(DeliveryStatus.DELIVERED, sid="SM9"))
    assert log.message().word is OutcomeWord.DELIVERED


def test_a_claim_without_an_answer_becomes_doubtful_when_its_time_is_up():
    log = given(requested(), turn())
    claimed = log.message().attempts[0].claimed_ms
    log.then(due(DueKind.DOUBT, claimed + log.message().policy.doubt_after_ms))
    assert log.message().attempts[0].doubtful


def test_where_the_tenant_chose_it_a_doubtful_alert_is_sent_again():
    log = given(requested(resend_after_ms=5000), turn(), doubtful())
    assert log.message().stage is Stage.RETRYING


def test_p2_a_doubtful_answer_that_is_repeated_starts_no_further_attempt():
    log = given(requested(resend_after_ms=5000), turn(), doubtful())
    before = log.message()
    log.then(doubtful())
    assert (log.events, log.effects, log.message()) == ([], [], before)


@pytest.mark.parametrize("late", [doubtful(), abandoned(), refused(ErrorClass.TRANSIENT), refused(ErrorClass.REQUEST)])
def test_p2_a_late_answer_to_an_attempt_that_was_sent_again_leaves_the_one_under_way_alone(late):
    log = given(requested(resend_after_ms=5000), turn())
    log.then(due(DueKind.DOUBT, log.message().attempts[0].claimed_ms + log.message().policy.doubt_after_ms))
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), late)
    assert (log.message().stage, log.effects, len(log.message().attempts)) == (Stage.FLYING, [], 2)


def test_an_abandoned_call_asks_again_at_once():
    log = given(requested(), turn(), abandoned())
    assert [e.attempt for e in log.effects if isinstance(e, PermitRequest)] == [2]
    assert log.message().attempts[0].answer is CreateResult.ABANDONED


def test_a_transient_failure_after_acceptance_is_retried_once_then_final():
    failed = {"code": 30017, "error": ErrorClass.TRANSIENT}
    log = given(requested(), turn(), taken(), report(DeliveryStatus.FAILED, **failed))
    assert log.message().stage is Stage.RETRYING
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), taken(2, sid="SM2"))
    log.then(report(DeliveryStatus.FAILED, 2, "SM2", **failed))
    assert (log.message().word, log.message().reason) == (OutcomeWord.FAILED, Reason.TRANSIENT)


def test_a_delivered_first_attempt_withdraws_the_waiting_retry():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.FAILED, code=30017, error=ErrorClass.TRANSIENT))
    log.then(due(DueKind.RETRY, log.message().due_ms), report(DeliveryStatus.DELIVERED))
    assert log.message().word is OutcomeWord.DELIVERED
    assert PermitSettlement(message_id=MESSAGE, attempt=2, lane="main", taken=False) in log.effects


def test_waiting_past_the_deadline_expires():
    log = given(requested())
    log.then(due(DueKind.EXPIRE, log.message().policy.expires_ms))
    assert [e.word for e in log.said(OutcomeGiven)] == [OutcomeWord.EXPIRED]


def test_a_timer_that_the_row_no_longer_says_is_void():
    log = given(requested(), turn())
    log.then(due(DueKind.EXPIRE, START_MS + 3_600_000))
    assert log.events == []


def test_sent_without_a_receipt_ends_unconfirmed():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.SENT))
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms))
    assert [e.word for e in log.said(OutcomeGiven)] == [OutcomeWord.UNCONFIRMED]


def test_a_delivered_after_unconfirmed_is_revision_two():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.SENT))
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms), report(DeliveryStatus.DELIVERED))
    assert (log.message().word, log.message().revision) == (OutcomeWord.DELIVERED, 2)


def test_a_scheduled_message_waits_for_its_time():
    log = given(requested(start_ms=START_MS + 60_000))
    assert log.message().stage is Stage.SCHEDULED and log.effects == []
    log.then(due(DueKind.START, START_MS + 60_000))
    assert [e.attempt for e in log.effects if isinstance(e, PermitRequest)] == [1]


@pytest.mark.parametrize("before", [(), (turn(),)])
def test_a_cancel_ends_what_has_not_left(before):
    log = given(requested(), *before, cancel())
    canceled = log.message().word is OutcomeWord.CANCELED
    assert canceled is (not before)
    assert bool(log.message().cancel_requested_ms) is bool(before)


def test_a_cancel_before_its_request_holds():
    assert given(cancel(), requested()).message().word is OutcomeWord.CANCELED


def test_a_final_message_has_a_row_of_its_own_and_still_learns():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.SENT))
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms))
    assert log.contact.messages == {} and KEY in log.rows
    log.then(report(DeliveryStatus.DELIVERED))
    assert (log.rows[KEY].word, log.rows[KEY].revision) == (OutcomeWord.DELIVERED, 2)


ENDS_AT_ONCE = [
    ((), rejected(), OutcomeWord.REJECTED),
    ((), rejected(reason=Reason.SANDBOXED), OutcomeWord.REJECTED),
    ((cancel(),), requested(), OutcomeWord.CANCELED),
    ((text(Intent.STOP),), requested(), OutcomeWord.SUPPRESSED),
    ((), requested(expires_ms=START_MS), OutcomeWord.EXPIRED),
    ((requested("b" * 20),), requested(max_open=1), OutcomeWord.REJECTED),
]


@pytest.mark.parametrize(("before", "request_", "word"), ENDS_AT_ONCE)
def test_a_message_that_is_final_as_soon_as_it_is_opened_takes_no_room_in_the_contacts_row(before, request_, word):
    log = given(*before, request_)
    assert [type(event) for event in log.events] == [MessageOpened, OutcomeGiven]
    assert KEY not in log.contact.messages and log.contact.canceled_ahead == {}
    assert (log.rows[KEY].word, log.rows[KEY].watermark) == (word, log.offset)
    assert dues(log.message()) == ((DueKind.FORGET, log.now_ms + 30 * 24 * HOUR_MS),)


@pytest.mark.parametrize(("before", "request_", "word"), ENDS_AT_ONCE)
def test_its_key_is_known_until_it_is_forgotten(before, request_, word):
    log = given(*before, request_, request_)
    assert log.events == []
    log.then(replace(request_, fingerprint="other"), cancel(), report(DeliveryStatus.DELIVERED))
    assert log.said(InputRefused) and log.rows[KEY].word is word
    log.then(due(DueKind.FORGET, log.message().final_ms + log.message().forget_after_ms), request_)
    assert log.said(MessageOpened)


def test_a_conflict_with_a_message_that_ended_at_once_is_told():
    assert given(rejected(), requested()).said(RequestConflicted)


def test_p7_another_tenants_cancel_is_refused():
    log = given(requested(), replace(cancel(), tenant="evil"))
    assert [e.field for e in log.said(InputRefused)] == ["tenant"]
    assert log.message().stage is Stage.WAITING and not log.said(OutcomeGiven)


def test_p7_another_tenants_cancel_ahead_of_the_request_cancels_nothing():
    log = given(replace(cancel(), tenant="evil"), requested())
    assert log.message().stage is Stage.WAITING and not log.said(OutcomeGiven)


def test_another_tenants_record_is_refused():
    log = given(requested())
    foreign = text(Intent.STOP)
    log.then(type(foreign)(**{**{f: getattr(foreign, f) for f in foreign.__struct_fields__}, "tenant": "evil"}))
    assert [e.field for e in log.said(InputRefused)] == ["tenant"]
    assert not log.contact.consent.opted_out
