"""Claims that are abandoned one after the other wait longer and longer, and a row keeps a bounded number of attempts."""

import msgspec
import pytest

from app.domain.model.attempt_retention import KEPT_ATTEMPTS
from app.domain.model.contact import find_attempt, get_attempt, last_attempt_no
from app.domain.model.effects import PermitRequest
from app.domain.model.events import InputRefused, OutcomeGiven
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, OutcomeWord, Reason, Stage
from app.domain.rules.retry import FRAUD_MS, LONGEST_STOPPED_MS
from app.records.caller_fields import CallerFields
from app.records.envelope import Cause
from app.streams.agents.outcome_record import outcome_record
from tests.support.given import ContactLog, abandoned, doubtful, due, given, refused, report, requested, taken, turn

CAUSE = Cause(partition=0, offset=9, index=0)
LONG_MS = 10_000_000_000


def lasting(**more: object):
    """A request whose deadline is far away."""
    first_ms = 1_800_000_000_000
    return requested(expires_ms=first_ms + LONG_MS, outcome_ms=first_ms + 2 * LONG_MS, **more)


def wait_ms(log: ContactLog) -> int:
    """How long the message waits for its next attempt, 0 if it asked for it at once; the wait is over then."""
    message = log.message()
    if message.stage is Stage.WAITING:
        assert [effect.attempt for effect in log.effects if isinstance(effect, PermitRequest)] == [
            last_attempt_no(message) + 1
        ]
        return 0
    assert message.stage is Stage.RETRYING
    waits_ms = message.due_ms - log.now_ms
    log.then(due(DueKind.RETRY, message.due_ms), after_ms=waits_ms)
    assert log.message().stage is Stage.WAITING
    return waits_ms


def made(log: ContactLog, *answers) -> list[int]:
    """One attempt for each of these answers, by number; how long the message waited after each."""
    waits = []
    for answer in answers:
        n = last_attempt_no(log.message()) + 1
        log.then(turn(n)).then(answer(n))
        waits.append(wait_ms(log))
    return waits


def about(*waits_ms: int):
    """These waits, each with jitter."""
    return pytest.approx(list(waits_ms), rel=0.2)


def throttled(n: int):
    return refused(ErrorClass.THROTTLED, n, 20429)


def test_claims_abandoned_in_a_row_wait_twice_as_long_each_time_and_a_call_begins_the_row_anew():
    log = given(lasting())
    assert made(log, *[abandoned] * 9) == about(0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000)
    made(log, throttled)
    assert made(log, abandoned, abandoned, abandoned) == about(0, 1000, 2000)


@pytest.mark.parametrize("why", ["claim_ttl", "lease", "worker_stopping"])
def test_it_does_not_matter_why_they_were_abandoned(why):
    log = given(lasting())
    waits = made(log, *[lambda n: abandoned(n, why)] * 3)
    assert waits == about(0, 1000, 2000) and log.message().reason is Reason.ABANDONED


def test_a_message_that_waits_after_abandoned_claims_still_expires():
    log = given(requested(), turn(), abandoned()).then(turn(2)).then(abandoned(2))
    assert log.message().stage is Stage.RETRYING
    log.then(due(DueKind.EXPIRE, log.message().policy.expires_ms))
    assert log.message().word is OutcomeWord.EXPIRED


def test_a_row_keeps_the_last_attempts_and_counts_the_others_and_the_outcome_says_so():
    log = given(lasting())
    made(log, *[abandoned] * 95)
    log.then(turn(96)).then(taken(96)).then(report(DeliveryStatus.DELIVERED, 96))
    message = log.message()
    assert [a.n for a in message.attempts] == list(range(96 - KEPT_ATTEMPTS + 1, 97))
    assert (message.attempts_dropped, message.word) == (96 - KEPT_ATTEMPTS, OutcomeWord.DELIVERED)
    [event] = log.said(OutcomeGiven)
    told = msgspec.to_builtins(outcome_record(message, event, CAUSE, CallerFields("k")))
    assert (len(told["attempts"]), told["attempts_dropped"]) == (KEPT_ATTEMPTS, 96 - KEPT_ATTEMPTS)


def test_an_outcome_that_lists_every_attempt_does_not_speak_of_others():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.DELIVERED))
    [event] = log.said(OutcomeGiven)
    assert "attempts_dropped" not in msgspec.to_builtins(outcome_record(log.message(), event, CAUSE, CallerFields("k")))


def test_what_may_have_arrived_is_kept_whatever_follows():
    log = given(lasting(resend_after_ms=5000), turn(), doubtful())
    wait_ms(log)
    made(log, *[abandoned] * 50)
    assert (log.message().attempts[0].n, len(log.message().attempts)) == (1, KEPT_ATTEMPTS)
    log.then(report(DeliveryStatus.DELIVERED, 1))
    assert (get_attempt(log.message(), 1).progress, log.message().word) == (
        DeliveryStatus.DELIVERED,
        OutcomeWord.DELIVERED,
    )


def test_a_fraud_block_is_remembered_though_many_attempts_followed_it():
    log = given(lasting())
    blocked = [lambda n: refused(ErrorClass.FRAUD_BLOCK, n, 30450)]
    assert made(log, *blocked) == [FRAUD_MS]
    made(log, *[abandoned] * 50)
    n = last_attempt_no(log.message()) + 1
    log.then(turn(n)).then(refused(ErrorClass.FRAUD_BLOCK, n, 30450))
    assert (log.message().word, log.message().reason) == (OutcomeWord.FAILED, Reason.FRAUD_BLOCK)


def test_refusals_that_were_dropped_still_make_the_next_ones_wait():
    log = given(lasting())
    made(log, *[throttled] * 30, *[abandoned] * 30)
    assert made(log, throttled) == about(60_000)
    assert made(log, lambda n: refused(ErrorClass.CONFIGURATION, n, 21606)) == about(LONGEST_STOPPED_MS)


def test_an_answer_or_a_turn_of_a_dropped_attempt_changes_nothing():
    log = given(lasting())
    made(log, *[abandoned] * 40)
    before = log.message()
    assert find_attempt(before, 1) is None
    log.then(taken(1)).then(turn(1))
    assert log.message() == before
    log.then(report(DeliveryStatus.DELIVERED, 1))
    assert log.message() == before and [event.field for event in log.said(InputRefused)] == ["message_id"]
    with pytest.raises(LookupError):
        get_attempt(before, 1)


def test_texts_that_were_taken_and_failed_are_all_listed_and_end_the_message_when_the_row_is_full():
    """They reached Twilio, so they must be listed: here the number of attempts itself is bounded."""
    log = given(lasting())
    for n in range(1, KEPT_ATTEMPTS):
        log.then(turn(n)).then(taken(n, f"SM{n}"))
        log.then(report(DeliveryStatus.FAILED, n, f"SM{n}", 30034, ErrorClass.CONFIGURATION))
        wait_ms(log)
    n = KEPT_ATTEMPTS
    log.then(turn(n)).then(taken(n, f"SM{n}")).then(
        report(DeliveryStatus.FAILED, n, f"SM{n}", 30034, ErrorClass.CONFIGURATION)
    )
    assert (log.message().word, log.message().reason) == (OutcomeWord.FAILED, Reason.CONFIGURATION)
    assert [a.n for a in log.message().attempts] == list(range(1, n + 1)) and not log.message().attempts_dropped
