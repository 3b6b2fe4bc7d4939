"""Consent: STOP beats the queue, and the times of receipt order STOP and START."""

from app.domain.content.keywords import read_intent
from app.domain.model.effects import PermitRequest, PermitSettlement
from app.domain.model.events import ConsentChanged, OutcomeGiven, TextReceived
from app.domain.model.vocabulary import ErrorClass, Intent, OutcomeWord, Reason
from tests.support.given import START_MS, abandoned, given, refused, requested, text, turn


def test_p3_a_request_after_stop_is_suppressed_before_the_ask():
    log = given(text(Intent.STOP), requested())
    assert log.message().word is OutcomeWord.SUPPRESSED and log.effects == []


def test_p3_a_stop_suppresses_what_waits_and_withdraws_the_ask():
    log = given(requested(), text(Intent.STOP))
    assert log.message().word is OutcomeWord.SUPPRESSED
    assert [e.taken for e in log.effects if isinstance(e, PermitSettlement)] == [False]


def test_p3_a_turn_after_stop_is_withdrawn():
    log = given(requested(), text(Intent.STOP), turn())
    assert log.message().attempts == ()
    assert [e.taken for e in log.effects if isinstance(e, PermitSettlement)] == [False]


def test_p3_an_abandoned_call_after_stop_is_suppressed():
    log = given(requested(), turn(), text(Intent.STOP), abandoned())
    assert log.message().word is OutcomeWord.SUPPRESSED and not [e for e in log.effects if isinstance(e, PermitRequest)]


def test_twilios_21610_is_recorded_as_an_opt_out():
    log = given(requested(), turn(), refused(ErrorClass.OPTED_OUT, code=21610))
    assert log.contact.consent.opted_out
    assert [e.source for e in log.said(ConsentChanged)] == ["twilio_21610"]
    assert [(e.word, e.reason) for e in log.said(OutcomeGiven)] == [(OutcomeWord.SUPPRESSED, Reason.OPTED_OUT)]


def test_a_start_received_well_after_the_stop_reopens():
    log = given(text(Intent.STOP, START_MS), text(Intent.START, START_MS + 5000, "SM2"))
    assert not log.contact.consent.opted_out


def test_a_start_within_two_seconds_of_the_stop_does_not_reopen():
    log = given(text(Intent.STOP, START_MS), text(Intent.START, START_MS + 1500, "SM2"))
    assert log.contact.consent.opted_out


def test_a_stop_that_was_received_before_the_start_but_logged_after_it_does_not_close():
    log = given(text(Intent.START, START_MS + 9000), text(Intent.STOP, START_MS, "SM2"))
    assert not log.contact.consent.opted_out


def test_a_redelivered_text_is_told_once():
    log = given(text(Intent.NONE))
    assert len(log.said(TextReceived)) == 1
    assert log.then(text(Intent.NONE)).said(TextReceived) == []


def test_opt_out_type_decides_over_the_words():
    assert read_intent("whatever", "STOP").intent is Intent.STOP
    assert read_intent("STOP", "HELP").intent is Intent.HELP


def test_a_text_that_twilio_took_for_a_stop_keeps_its_own_words_sealed():
    assert read_intent("Unsubscribe", "STOP").keyword == "UNSUBSCRIBE"
    assert read_intent("Anna, please write no more", "STOP").keyword == "STOP"
