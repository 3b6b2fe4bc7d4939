"""P2: an attempt in doubt is resolved by evidence alone, or sent again where the tenant chose to."""

import msgspec
import pytest

from app.domain.model.contact import in_doubt
from app.domain.model.effects import PermitRequest
from app.domain.model.events import AttemptClaimed, AttemptDoubted, OutcomeGiven
from app.domain.model.vocabulary import (
    Category,
    CreateResult,
    DeliveryStatus,
    DueKind,
    ErrorClass,
    Intent,
    OutcomeWord,
    Priority,
    Reason,
    Stage,
)
from app.domain.rules.schedule import dues
from app.records.caller_fields import CallerFields
from app.records.envelope import Cause
from app.streams.agents.outcome_record import outcome_record
from tests.support.given import (
    HOUR_MS,
    KEY,
    START_MS,
    ContactLog,
    abandoned,
    cancel,
    doubtful,
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

TWIN = "b" * 20
# Of another priority: calls of one are made one after the other.
AT_ONCE = {"priority": Priority.URGENT}


def in_doubt_twice() -> ContactLog:
    """The same text to the same person twice, both calls without an answer."""
    return given(requested(), requested(TWIN, **AT_ONCE), turn(), turn(1, TWIN), doubtful(), doubtful(1, TWIN))


def bound(log: ContactLog, key: str = KEY) -> list[str]:
    return [attempt.sid for attempt in log.message(key).attempts]


def test_the_list_shows_the_one_text_that_fits_and_the_doubt_is_resolved():
    log = given(requested(), turn(), doubtful(), listed(seen("SM7", DeliveryStatus.DELIVERED)))
    assert bound(log) == ["SM7"]
    assert (log.message().word, log.message().revision) == (OutcomeWord.DELIVERED, 1)


@pytest.mark.parametrize(
    "unlike",
    [{"digest": "d2"}, {"lanes": ("other",)}, {"lanes": ()}, {"created_ms": START_MS - 60_000},
     {"created_ms": START_MS + 10 * 60_000}],
    ids=["another text", "another lane", "no lane of the tenant", "before the claim", "long after the call"],
)  # fmt: skip
def test_a_text_that_differs_in_one_point_is_not_taken_for_it(unlike):
    log = given(requested(), turn(), doubtful(), listed(seen("SM7", DeliveryStatus.DELIVERED, **unlike)))
    assert bound(log) == [""] and log.message().word is None and log.contact.listed == ()


def test_two_texts_that_fit_one_doubt_resolve_nothing():
    log = given(requested(), turn(), doubtful(), listed(seen("SM7"), seen("SM8")))
    assert bound(log) == [""]


def test_one_text_that_fits_two_doubts_resolves_neither():
    log = in_doubt_twice().then(listed(seen("SM7")))
    assert bound(log) == [""] and bound(log, TWIN) == [""]


def test_a_text_may_be_that_of_a_call_still_under_way_and_is_then_nobodys():
    log = given(requested(), requested(TWIN, **AT_ONCE), turn(), turn(1, TWIN), doubtful(), listed(seen("SM7")))
    assert bound(log) == [""]


def test_once_the_other_call_is_answered_the_remembered_text_resolves_the_doubt():
    log = given(requested(), requested(TWIN, **AT_ONCE), turn(), turn(1, TWIN), doubtful(), listed(seen("SM7")))
    log.then(taken(1, "SM8", TWIN))
    assert bound(log) == ["SM7"] and log.contact.listed == ()


def test_a_text_that_is_another_messages_is_never_taken_for_the_one_in_doubt():
    log = given(requested(), requested(TWIN, **AT_ONCE), turn(), turn(1, TWIN), doubtful(), taken(1, "SM8", TWIN))
    log.then(listed(seen("SM8", DeliveryStatus.DELIVERED)))
    assert bound(log) == [""] and in_doubt(log.message().attempts[0])
    log.then(listed(seen("SM8", DeliveryStatus.DELIVERED), keys=(KEY, TWIN)))
    assert bound(log) == [""] and in_doubt(log.message().attempts[0])
    assert log.message(TWIN).word is OutcomeWord.DELIVERED


def test_of_two_doubts_and_two_texts_a_report_of_one_resolves_the_other():
    log = in_doubt_twice().then(listed(seen("SM7"), seen("SM8", DeliveryStatus.DELIVERED)))
    assert bound(log) == [""] and bound(log, TWIN) == [""]
    log.then(report(DeliveryStatus.SENT, sid="SM7"))
    assert (bound(log), bound(log, TWIN)) == (["SM7"], ["SM8"])
    assert log.message(TWIN).word is OutcomeWord.DELIVERED


def test_what_was_remembered_of_a_text_is_learnt_when_a_report_names_its_attempt():
    log = in_doubt_twice().then(listed(seen("SM7", DeliveryStatus.DELIVERED), seen("SM8")))
    log.then(report(DeliveryStatus.QUEUED, sid="SM7"))
    assert log.message().attempts[0].progress is DeliveryStatus.DELIVERED


def test_a_part_of_the_list_cannot_show_that_a_text_has_no_rival():
    log = given(requested(), turn(), doubtful(), listed(seen("SM7"), whole=False))
    assert bound(log) == [""] and log.contact.listed == ()


def test_a_doubt_is_resolved_by_the_list_however_old_it_is():
    log = given(requested(expires_ms=START_MS + 90 * HOUR_MS, outcome_ms=START_MS + 99 * HOUR_MS), turn(), doubtful())
    log.then(listed(seen("SM7")), after_ms=25 * HOUR_MS)
    assert bound(log) == ["SM7"]


def test_a_text_may_be_that_of_a_message_that_ended_in_doubt_and_left_the_row_and_is_then_nobodys():
    log = given(
        requested(), requested(TWIN, outcome_ms=START_MS + HOUR_MS, **AT_ONCE), turn(), turn(1, TWIN), doubtful()
    )
    log.then(due(DueKind.OUTCOME, START_MS + HOUR_MS, TWIN))
    assert TWIN not in log.contact.messages and log.message(TWIN).word is OutcomeWord.IN_DOUBT
    assert bound(log.then(listed(seen("SM7")))) == [""]


def test_a_report_with_our_id_outweighs_what_the_list_made_us_infer():
    log = given(requested(), turn(), doubtful(), listed(seen("SM7", DeliveryStatus.SENT)))
    log.then(report(DeliveryStatus.SENDING, sid="SM9"))
    assert bound(log) == ["SM9"] and log.message().attempts[0].progress is DeliveryStatus.SENDING


def test_a_text_inferred_for_one_and_proved_anothers_puts_the_first_in_doubt_again():
    log = given(requested(), turn(), doubtful(), listed(seen("SM7", DeliveryStatus.DELIVERED)))
    log.then(requested(TWIN), turn(1, TWIN), taken(1, "SM7", TWIN))
    assert bound(log) == [""] and bound(log, TWIN) == ["SM7"]
    assert [(e.word, e.revision) for e in log.said(OutcomeGiven)] == [(OutcomeWord.IN_DOUBT, 2)]


def test_a_refusal_found_in_the_journal_proves_that_the_inferred_text_is_anothers():
    log = given(requested(), turn(), listed(), due(DueKind.DOUBT, START_MS + 62_000), listed(seen("SM7")))
    assert bound(log) == ["SM7"]
    log.then(refused(ErrorClass.NUMBER_INVALID, code=21211))
    assert bound(log) == [""] and log.message().word is OutcomeWord.FAILED


def test_a_refusal_on_the_list_ends_the_message_with_its_code():
    found = seen("SM7", DeliveryStatus.UNDELIVERED, code=30003, error=ErrorClass.NUMBER_UNREACHABLE)
    log = given(requested(), turn(), doubtful(), listed(found))
    assert (log.message().word, log.message().attempts[0].code) == (OutcomeWord.UNDELIVERED, 30003)


def test_by_default_a_doubt_is_only_reported_and_ends_in_doubt_at_its_deadline():
    log = given(requested(), turn(), doubtful(), listed(), listed())
    assert dues(log.message())[-1][0] is DueKind.OUTCOME
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms))
    assert [(e.word, e.reason) for e in log.said(OutcomeGiven)] == [(OutcomeWord.IN_DOUBT, Reason.NO_ANSWER)]


def resent() -> ContactLog:
    log = given(requested(resend_after_ms=5000, category=Category.ALERT), turn(), doubtful())
    return log.then(due(DueKind.RETRY, log.message().due_ms), turn(2))


def test_where_the_tenant_chose_it_a_further_attempt_is_made_and_both_are_listed():
    log = resent().then(taken(2, "SM2"), report(DeliveryStatus.DELIVERED, 2, "SM2"))
    told = outcome_record(log.message(), log.said(OutcomeGiven)[0], Cause(0, 0, 0), CallerFields("k"))
    assert [(a.attempt, a.message_sid, a.in_doubt) for a in told.attempts] == [(1, "", True), (2, "SM2", False)]
    assert told.possible_duplicate


def test_a_first_attempt_that_turns_out_delivered_after_the_resend_says_possible_duplicate():
    log = resent().then(taken(2, "SM2"), report(DeliveryStatus.DELIVERED, 1, "SM1"))
    told = outcome_record(log.message(), log.said(OutcomeGiven)[0], Cause(0, 0, 0), CallerFields("k"))
    assert told.outcome == "delivered" and told.possible_duplicate


def test_a_retry_after_a_failure_that_was_reported_is_no_duplicate():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.FAILED, code=30017, error=ErrorClass.TRANSIENT))
    log.then(
        due(DueKind.RETRY, log.message().due_ms), turn(2), taken(2, "SM2"), report(DeliveryStatus.DELIVERED, 2, "SM2")
    )
    assert not outcome_record(
        log.message(), log.said(OutcomeGiven)[0], Cause(0, 0, 0), CallerFields("k")
    ).possible_duplicate


def test_the_list_resolves_a_doubt_before_its_resend_which_is_then_not_made():
    log = given(requested(resend_after_ms=5000, category=Category.ALERT), turn(), doubtful(), listed(seen("SM1")))
    assert log.message().stage is Stage.FLYING
    log.then(due(DueKind.RETRY, log.now_ms + 5000))
    assert log.events == [] and log.effects == []


def test_a_resend_in_doubt_too_is_not_repeated_beyond_the_retries():
    log = resent().then(doubtful(2))
    assert log.message().stage is Stage.FLYING and len(log.message().attempts) == 2


@pytest.mark.parametrize("hinders", [{"category": Category.MARKETING}, {"expires_ms": START_MS + 6000}, {}])
def test_a_doubt_is_not_resent_for_marketing_nor_past_the_deadline_nor_without_the_choice(hinders):
    choice = {"resend_after_ms": 5000} if hinders else {}
    log = given(requested(**{"category": Category.ALERT, **choice, **hinders}), turn(), doubtful())
    assert log.message().stage is Stage.FLYING


@pytest.mark.parametrize("before", [cancel(), text(Intent.STOP)])
def test_a_doubt_of_a_canceled_message_or_after_stop_is_not_resent(before):
    log = given(requested(resend_after_ms=5000, category=Category.ALERT), turn(), before, doubtful())
    assert log.message().stage is Stage.FLYING and not [e for e in log.effects if isinstance(e, PermitRequest)]


def test_a_stop_while_a_resend_waits_leaves_the_attempt_in_doubt_and_sends_nothing():
    log = given(requested(resend_after_ms=5000, category=Category.ALERT), turn(), doubtful())
    log.then(text(Intent.STOP))
    assert log.message().stage is Stage.FLYING and log.message().word is None
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms))
    assert log.message().word is OutcomeWord.IN_DOUBT


@pytest.mark.parametrize("late", [doubtful(), abandoned(), refused(ErrorClass.NUMBER_INVALID, code=21211)])
def test_a_late_answer_to_the_first_attempt_starts_nothing_while_the_resend_is_under_way(late):
    log = given(requested(resend_after_ms=5000, category=Category.ALERT), turn())
    log.then(due(DueKind.DOUBT, log.message().attempts[0].claimed_ms + 60_000))
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), late)
    assert log.message().stage is Stage.FLYING and log.message().word is None
    assert not log.said(AttemptClaimed) and not [e for e in log.effects if isinstance(e, PermitRequest)]


def test_a_resend_that_fails_leaves_the_first_attempt_in_doubt_and_its_late_refusal_ends_the_message():
    log = given(requested(resend_after_ms=5000, category=Category.ALERT), turn())
    log.then(due(DueKind.DOUBT, log.message().attempts[0].claimed_ms + 60_000))
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), taken(2, "SM2"))
    log.then(report(DeliveryStatus.UNDELIVERED, 2, "SM2", 30003, ErrorClass.NUMBER_UNREACHABLE))
    assert log.message().word is None
    log.then(refused(ErrorClass.NUMBER_INVALID, code=21211))
    assert (log.message().word, log.message().reason) == (OutcomeWord.UNDELIVERED, Reason.NUMBER_UNREACHABLE)


def test_a_doubt_is_told_once():
    log = given(requested(), turn())
    log.then(due(DueKind.DOUBT, log.message().attempts[0].claimed_ms + 60_000))
    assert len(log.said(AttemptDoubted)) == 1
    assert log.then(doubtful()).said(AttemptDoubted) == []
    assert log.message().attempts[0].answer is CreateResult.DOUBTFUL


def test_an_attempt_in_doubt_knows_since_when():
    log = given(requested(), turn(), doubtful())
    assert log.message().attempts[0].doubted_ms == log.now_ms and in_doubt(log.message().attempts[0])


def test_a_row_without_a_digest_is_never_resolved_by_the_list():
    old = msgspec.structs.replace(requested(), digest="")
    assert bound(given(old, turn(), doubtful(), listed(seen("SM7", digest="")))) == [""]


def test_a_resend_that_gets_no_turn_in_time_leaves_the_first_attempt_until_the_deadline_for_reports():
    log = given(requested(resend_after_ms=5000, category=Category.ALERT), turn(), doubtful())
    log.then(due(DueKind.RETRY, log.message().due_ms))
    log.then(due(DueKind.EXPIRE, log.message().policy.expires_ms))
    assert log.message().stage is Stage.FLYING and log.message().word is None
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms))
    assert log.message().word is OutcomeWord.IN_DOUBT


@pytest.mark.parametrize(
    ("late", "word"),
    [(refused(ErrorClass.NUMBER_INVALID, code=21211), OutcomeWord.FAILED), (abandoned(), OutcomeWord.EXPIRED)],
)
def test_an_outcome_in_doubt_is_corrected_when_a_journal_proves_that_nothing_was_sent(late, word):
    log = given(requested(), turn())
    log.then(due(DueKind.DOUBT, log.message().attempts[0].claimed_ms + 60_000))
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms), late)
    assert [(e.word, e.revision) for e in log.said(OutcomeGiven)] == [(word, 2)]
