"""Reconciliation: a message without a final report is looked up, and what Twilio's list says is as good as a report."""

import pytest

from app.domain.model.events import AttemptProgressed, ConsentChanged, OutcomeGiven, TextReceived
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Intent, OutcomeWord, Provenance, Stage
from app.domain.rules.schedule import dues
from tests.support.given import (
    HOUR_MS,
    START_MS,
    ContactLog,
    doubtful,
    due,
    given,
    listed,
    report,
    requested,
    seen,
    taken,
    text,
    turn,
)

MINUTE_MS = 60_000
LONG = {"expires_ms": START_MS + 90 * HOUR_MS, "outcome_ms": START_MS + 99 * HOUR_MS}


def look_ms(log: ContactLog) -> int | None:
    return next((at for kind, at in dues(log.message()) if kind is DueKind.LOOK), None)


def looks_after_the_claim(log: ContactLog) -> list[int]:
    """When each look comes due, each made in time and finding nothing; minutes after the claim."""
    found, claimed = [], log.message().attempts[0].claimed_ms
    while (at := look_ms(log)) is not None:
        found.append((at - claimed) // MINUTE_MS)
        log.now_ms = at
        log.then(listed(look_ms=at), after_ms=1)
    return found


def test_without_a_final_report_twilio_is_asked_after_a_quarter_of_an_hour_an_hour_a_day_and_three():
    assert looks_after_the_claim(given(requested(**LONG), turn(), taken())) == [15, 60, 1440, 4320]


def test_an_attempt_in_doubt_is_looked_for_earlier_too():
    assert looks_after_the_claim(given(requested(**LONG), turn(), doubtful())) == [1, 5, 15, 60, 1440, 4320]


def test_a_claim_still_waiting_for_its_answer_is_not_looked_for():
    assert look_ms(given(requested(**LONG), turn())) is None


@pytest.mark.parametrize("end", [DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED])
def test_after_a_final_report_nothing_is_looked_for(end):
    assert look_ms(given(requested(**LONG), turn(), taken(), report(end, code=30007))) is None


def test_a_worker_that_was_away_makes_one_look_for_all_that_it_missed():
    log = given(requested(**LONG), turn(), taken())
    log.then(listed(look_ms=look_ms(log)), after_ms=25 * HOUR_MS)
    assert look_ms(log) == log.message().attempts[0].claimed_ms + 72 * HOUR_MS


def test_a_look_whose_clock_is_ahead_of_the_log_is_made_all_the_same():
    log = given(requested(**LONG), turn(), taken())
    first = look_ms(log)
    log.then(listed(look_ms=first))
    assert look_ms(log) == log.message().attempts[0].claimed_ms + HOUR_MS


def test_a_lost_delivered_report_is_found_and_says_how_it_was_learnt():
    log = given(requested(), turn(), taken(), listed(seen("SM1", DeliveryStatus.DELIVERED), whole=False))
    assert log.message().word is OutcomeWord.DELIVERED
    assert [e.provenance for e in log.said(AttemptProgressed)] == [Provenance.RECONCILED]


def test_what_is_known_is_nothing_new():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.SENT))
    log.then(listed(seen("SM1", DeliveryStatus.QUEUED), seen("SM1", DeliveryStatus.SENT)))
    assert log.said(AttemptProgressed) == []


def test_sent_at_the_deadline_is_unconfirmed_and_a_later_delivered_is_revision_two():
    log = given(requested(), turn(), taken(), listed(seen("SM1", DeliveryStatus.SENT)))
    log.then(due(DueKind.OUTCOME, log.message().policy.outcome_ms))
    assert log.message().word is OutcomeWord.UNCONFIRMED
    log.then(listed(seen("SM1", DeliveryStatus.DELIVERED)))
    assert [(e.word, e.revision) for e in log.said(OutcomeGiven)] == [(OutcomeWord.DELIVERED, 2)]


def test_a_transient_failure_that_is_found_is_retried_like_one_that_was_reported():
    log = given(requested(), turn(), taken())
    log.then(listed(seen("SM1", DeliveryStatus.FAILED, code=30017, error=ErrorClass.TRANSIENT)))
    assert log.message().stage is Stage.RETRYING


def test_an_opt_out_that_is_found_counts_from_when_the_text_was_made():
    log = given(text(Intent.START, START_MS + 60_000), requested(), turn(), taken())
    log.then(listed(seen("SM1", DeliveryStatus.FAILED, code=21610, error=ErrorClass.OPTED_OUT)))
    assert not log.contact.consent.opted_out


def found(intent: Intent, received_ms: int, sid: str = "SM-in") -> object:
    """The same text as its webhook's, found on the list."""
    webhook = text(intent, received_ms, sid)
    fields = {name: getattr(webhook, name) for name in webhook.__struct_fields__}
    return type(webhook)(**{**fields, "provenance": Provenance.RECONCILED})


def test_p3_a_stop_whose_webhook_was_lost_is_found_and_closes():
    log = given(requested(), found(Intent.STOP, START_MS))
    assert log.contact.consent.opted_out and log.message().word is OutcomeWord.SUPPRESSED
    assert len(log.said(TextReceived)) == 1


def test_a_text_whose_webhook_came_is_nothing_new_when_it_is_found():
    log = given(text(Intent.STOP, START_MS), text(Intent.START, START_MS + 5000, "SM2"), found(Intent.STOP, START_MS))
    assert log.events == [] and not log.contact.consent.opted_out


def test_an_old_stop_found_late_does_not_undo_a_start_received_after_it():
    log = given(text(Intent.START, START_MS + 60_000, "SM2"), found(Intent.STOP, START_MS))
    assert not log.contact.consent.opted_out
    assert [e.changed for e in log.said(ConsentChanged)] == [False]
