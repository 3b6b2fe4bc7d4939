"""A STOP or START text counts once by its MessageSid, with the time of receipt of its first delivery."""

from msgspec.structs import replace

from app.domain.model.events import ConsentChanged, TextReceived
from app.domain.model.inputs import TextArrived
from app.domain.model.row_limits import KEPT_CONSENT_TEXTS, KEPT_TEXTS
from app.domain.model.vocabulary import ErrorClass, Intent, OutcomeWord, Provenance
from tests.support.given import START_MS, ContactLog, given, refused, requested, text, turn

STOP, START, NONE = Intent.STOP, Intent.START, Intent.NONE


def at(seconds: int, intent: Intent, sid: str) -> TextArrived:
    return text(intent, START_MS + seconds * 1000, sid)


def listed(seconds: int, intent: Intent, sid: str) -> TextArrived:
    """The same, found on Twilio's list."""
    return replace(at(seconds, intent, sid), provenance=Provenance.RECONCILED)


def opted_out(log: ContactLog) -> bool:
    assert log.contact is not None
    return log.contact.consent.opted_out


def many(first: int, count: int) -> list[TextArrived]:
    """STOP and START in turn, ten seconds apart."""
    return [at(10 * n, (STOP, START)[n % 2], f"IN{n}") for n in range(first, first + count)]


def test_p3_a_start_delivered_again_after_a_stop_does_not_reopen():
    log = given(at(0, START, "A"), at(10, STOP, "B"), at(20, START, "A"), requested())
    assert opted_out(log) and log.message().word is OutcomeWord.SUPPRESSED


def test_p3_nor_does_it_when_twenty_other_texts_came_between():
    talk = [at(11 + n, NONE, f"N{n}") for n in range(KEPT_TEXTS + 1)]
    log = given(at(0, START, "A"), at(10, STOP, "B"), *talk, at(90, START, "A"))
    assert opted_out(log) and log.events == []


def test_p3_nor_does_it_when_it_is_found_on_twilios_list():
    assert opted_out(given(at(0, START, "A"), at(10, STOP, "B"), listed(0, START, "A")))


def test_a_new_start_after_the_stop_reopens():
    assert not opted_out(given(at(0, START, "A"), at(10, STOP, "B"), at(20, START, "C")))


def test_p3_a_repeated_start_on_the_log_before_its_first_delivery_is_closed_by_the_first():
    log = given(at(10, STOP, "B"), at(20, START, "A"))
    assert not opted_out(log)
    log.then(at(0, START, "A"))
    assert opted_out(log) and [event.changed for event in log.said(ConsentChanged)] == [True]


def test_a_repeated_stop_does_not_close_what_a_later_start_reopened():
    assert not opted_out(given(at(0, STOP, "A"), at(10, START, "B"), at(20, STOP, "A")))


def test_a_repeat_tells_nobody_anything():
    log = given(at(0, STOP, "A"))
    assert len(log.said(ConsentChanged)) == len(log.said(TextReceived)) == 1
    assert log.then(at(5, STOP, "A")).events == []


def test_twilios_word_still_closes_between_texts():
    log = given(at(-20, START, "A"), requested(), turn(), refused(ErrorClass.OPTED_OUT, code=21610))
    assert opted_out(log)
    assert opted_out(log.then(at(-10, START, "B"))) and not opted_out(log.then(at(10, START, "C")))


def test_only_so_many_texts_are_remembered():
    log = given(*(at(n, STOP, f"IN{n}") for n in range(2 * KEPT_CONSENT_TEXTS)))
    assert log.contact is not None
    texts = log.contact.consent.texts
    assert [one.sid for one in texts] == [f"IN{n}" for n in range(KEPT_CONSENT_TEXTS, 2 * KEPT_CONSENT_TEXTS)]


def test_p3_a_start_that_may_be_one_of_those_forgotten_does_not_reopen():
    log = given(*many(0, 2 * KEPT_CONSENT_TEXTS), at(2000, STOP, "Z"), at(2100, START, "IN1"))
    assert opted_out(log)


def test_p3_a_stop_that_was_forgotten_keeps_its_time():
    starts = [text(START, START_MS + 1000 + n, f"IN{n}") for n in range(KEPT_CONSENT_TEXTS)]
    log = given(at(0, STOP, "A"), *starts)
    assert log.contact is not None and log.contact.consent.texts[0].sid == "IN0"
    assert opted_out(log), "no START was received two seconds after it"


def test_a_new_start_that_is_in_doubt_reopens_when_twilios_list_says_when_it_came():
    log = given(*many(0, 2 * KEPT_CONSENT_TEXTS), at(2000, STOP, "Z"), at(2100, START, "NEW"))
    assert opted_out(log)
    assert not opted_out(log.then(listed(2099, START, "NEW")))


def test_p3_a_forgotten_start_on_twilios_list_has_its_old_time_there():
    assert opted_out(given(*many(0, 2 * KEPT_CONSENT_TEXTS), at(2000, STOP, "Z"), listed(10, START, "IN1")))


def test_a_text_whose_webhook_was_no_start_is_none_on_twilios_list_either():
    log = given(at(0, STOP, "A"), at(10, Intent.HELP, "B"), listed(10, START, "B"))
    assert opted_out(log) and log.events == []


def test_a_text_read_once_as_stop_and_once_as_start_is_a_stop():
    for one, other in ((STOP, START), (START, STOP)):
        assert opted_out(given(at(0, one, "A"), at(0, other, "A")))
