"""Texts that Twilio holds until their time: handed over, called back on STOP and cancel, kept when that is too late."""

import itertools

import pytest
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from app.domain.model.contact import Message
from app.domain.model.effects import PermitRequest
from app.domain.model.events import OutcomeGiven, ScheduledCancelRequested
from app.domain.model.inputs import Input, ScheduledCancelReturned
from app.domain.model.vocabulary import DeliveryStatus, DueKind, Intent, OutcomeWord, Reason, Stage
from app.domain.rules.schedule import dues
from tests.support.given import (
    CONTACT,
    HOUR_MS,
    KEY,
    START_MS,
    ContactLog,
    abandoned,
    cancel,
    doubtful,
    given,
    recalled,
    report,
    requested,
    taken,
    text,
    turn,
)

AT_MS = START_MS + 2 * HOUR_MS
LIMITS = {"start_ms": AT_MS, "expires_ms": AT_MS + HOUR_MS, "outcome_ms": AT_MS + 2 * HOUR_MS}


def handed_over(key: str = KEY) -> Input:
    return requested(key, handed_over=True, **LIMITS)


def outcomes(log: ContactLog) -> list[tuple[OutcomeWord, Reason]]:
    return [(told.word, told.reason) for told in log.said(OutcomeGiven)]


def recall_due(message: Message) -> bool:
    return DueKind.RECALL in dict(dues(message))


def test_a_text_that_twilio_is_to_hold_asks_for_its_turn_at_once_and_others_wait_for_their_time():
    assert [type(effect) for effect in given(handed_over()).effects] == [PermitRequest]
    here = given(requested(**LIMITS))
    assert here.effects == [] and here.message().stage is Stage.SCHEDULED


WISHES = {"stop": (text(Intent.STOP), OutcomeWord.SUPPRESSED, Reason.OPTED_OUT),
          "cancel": (cancel(), OutcomeWord.CANCELED, Reason.CANCEL_REQUESTED)}  # fmt: skip


@pytest.mark.parametrize("wish", WISHES)
def test_p3_what_twilio_holds_is_called_back_and_ends_as_if_it_had_waited_here(wish: str):
    said, word, reason = WISHES[wish]
    log = given(handed_over(), turn(), taken())
    assert not recall_due(log.message())
    log.then(said)
    assert recall_due(log.message()) and log.said(OutcomeGiven) == []
    log.then(recalled(True))
    assert outcomes(log) == [(word, reason)]
    assert log.message().attempts[0].progress is DeliveryStatus.CANCELED


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("proof", [taken(), report(DeliveryStatus.ACCEPTED)])
def test_p3_it_is_due_as_soon_as_the_sid_is_known_whatever_way_that_is_learnt(wish: str, proof: Input):
    log = given(handed_over(), turn(), WISHES[wish][0])
    assert not recall_due(log.message())
    assert recall_due(log.then(proof).message())
    log = given(handed_over(), turn(), doubtful(), WISHES[wish][0], proof)
    assert recall_due(log.message())


@pytest.mark.parametrize("wish", WISHES)
def test_a_recall_that_comes_too_late_is_not_asked_for_again_and_the_text_ends_as_it_does(wish: str):
    log = given(handed_over(), turn(), taken(), WISHES[wish][0], recalled(False))
    assert not recall_due(log.message()) and log.said(OutcomeGiven) == []
    log.then(report(DeliveryStatus.DELIVERED))
    assert outcomes(log) == [(OutcomeWord.DELIVERED, Reason.REPORTED)]


def test_twilios_own_word_that_it_is_canceled_ends_it_the_same_way():
    log = given(handed_over(), turn(), taken(), text(Intent.STOP), report(DeliveryStatus.CANCELED))
    assert outcomes(log) == [(OutcomeWord.SUPPRESSED, Reason.OPTED_OUT)]
    assert not recall_due(log.message())


@pytest.mark.parametrize("wish", WISHES)
def test_what_was_sent_is_not_called_back(wish: str):
    assert not recall_due(given(handed_over(), turn(), taken(), report(DeliveryStatus.SENT), WISHES[wish][0]).message())
    log = given(handed_over(), turn(), taken())
    log.now_ms = AT_MS
    assert log.then(WISHES[wish][0]).said(ScheduledCancelRequested) == []
    assert given(requested(), turn(), taken(), WISHES[wish][0]).said(ScheduledCancelRequested) == []


def test_a_start_after_the_stop_brings_nothing_back():
    log = given(handed_over(), turn(), taken(), text(Intent.STOP), text(Intent.START, START_MS + HOUR_MS))
    assert recall_due(log.message())
    assert outcomes(log.then(recalled(True))) == [(OutcomeWord.SUPPRESSED, Reason.OPTED_OUT)]


def test_one_that_came_too_near_to_its_time_waits_for_it_here_and_is_then_sent():
    log = given(handed_over(), turn(), abandoned(why="too_near"))
    message = log.message()
    assert message.stage is Stage.SCHEDULED and dict(dues(message))[DueKind.START] == AT_MS
    late = given(handed_over(), turn())
    late.now_ms = AT_MS + 1000
    late.then(abandoned(why="too_near"))
    assert late.message().stage is Stage.WAITING


def test_p3_a_cancel_calls_back_what_a_report_says_twilio_holds_though_we_thought_the_call_never_left():
    log = given(handed_over(), turn(), abandoned(why="too_near"), report(DeliveryStatus.ACCEPTED), cancel())
    assert log.message().stage is Stage.FLYING and recall_due(log.message())


def test_twilios_list_is_asked_about_it_from_its_time_on():
    log = given(handed_over(), turn(), taken())
    message = log.message()
    assert message.policy is not None
    assert dict(dues(message))[DueKind.LOOK] == AT_MS + message.policy.look_after_ms[0]


ORDERS = [taken(), report(DeliveryStatus.CANCELED), text(Intent.STOP)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_p5_answer_report_and_stop_in_any_order_leave_nothing_to_recall(order: tuple[int, ...]):
    log = given(handed_over(), turn(), *(ORDERS[n] for n in order))
    message = log.message()
    assert message.stage is Stage.FINAL and message.attempts[0].progress is DeliveryStatus.CANCELED


STEPS = st.sampled_from(
    [turn(), taken(), doubtful(), text(Intent.STOP), cancel(), recalled(True), recalled(False), report(DeliveryStatus.ACCEPTED),
     report(DeliveryStatus.SENT), report(DeliveryStatus.CANCELED), report(DeliveryStatus.DELIVERED), abandoned(why="too_near")]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@cases(st.lists(STEPS, max_size=12))
def test_p3_while_a_stop_stands_before_its_time_nothing_that_is_known_to_be_held_goes_unasked(steps: list[Input]):
    log = given(handed_over(), turn())
    asked_in_vain = False
    for step in steps:
        log.then(step)
        asked_in_vain |= isinstance(step, ScheduledCancelReturned) and not step.canceled
        message = log.message()
        held = message.stage is Stage.FLYING and any(
            a.sid and a.progress is DeliveryStatus.ACCEPTED for a in message.attempts
        )
        if held and log.contact.consent.opted_out and not asked_in_vain:
            assert recall_due(message)
        assert sum(told.revision == 1 for told in log.said(OutcomeGiven)) <= 1
    assert log.message().id == f"{CONTACT}-{KEY}"
