"""What a message without an outcome waits for, in words."""

import pytest
from msgspec.structs import replace

from app import clock
from app.cli.queries.message_state import not_taken, state
from app.domain.model.contact import Attempt, Message
from app.domain.model.policy import Policy
from app.domain.model.vocabulary import Category, DeliveryStatus, OutcomeWord, Priority, Proof, Reason, Stage
from app.records.lanes import StoppedLane
from tests.support.given import START_MS as GIVEN_MS
from tests.support.given import given, requested

START_MS = 1_804_068_000_000
POLICY = Policy(
    lane="main",
    priority=Priority.NORMAL,
    category=Category.TRANSACTIONAL,
    segments=1,
    expires_ms=START_MS + 1,
    outcome_ms=START_MS + 1,
    start_ms=START_MS,
)
AHEAD = replace(POLICY, handed_over=True)
HELD = Attempt(n=1, claimed_ms=0, claimed_offset=0, sid="SM" + "0" * 32, progress=DeliveryStatus.ACCEPTED)
STOPPED = StoppedLane(tenant="acme", lane="main", proof=Proof.TAKEN, until_ms=0, hold_ms=1, since_ms=0, code=20003)


def message(stage: Stage, **given) -> Message:
    base = {"id": "c-m", "tenant": "acme", "fingerprint": "", "masked": "", "sealed_to": ""}
    return Message(
        **base, sealed_caller_fields="", stage=stage, requested_ms=0, logged_ms=0, **{"policy": POLICY, **given}
    )


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (message(Stage.WAITING), "waits for its turn on lane main"),
        (message(Stage.SCHEDULED), "scheduled for 2027-03-03T10:00:00.000Z"),
        (message(Stage.RETRYING, due_ms=START_MS + 1000), "tried again at 2027-03-03T10:00:01.000Z"),
        (message(Stage.FLYING, attempts=(HELD,), policy=AHEAD), "scheduled at Twilio for 2027-03-03T10:00:00.000Z"),
        (message(Stage.FLYING), "with Twilio: its last report is not there"),
        (message(Stage.FINAL, word=OutcomeWord.FAILED, reason=Reason.EXPIRED), "ended: failed (expired)"),
    ],
)
def test_a_message_says_what_it_waits_for(waiting: Message, said: str) -> None:
    assert state(waiting, {}) == said


def test_a_message_of_a_stopped_lane_waits_for_the_operator_and_one_of_another_lane_does_not() -> None:
    assert state(message(Stage.WAITING), {("acme", "main"): STOPPED}).startswith("lane main: stopped since 1970")
    assert state(message(Stage.WAITING), {("acme", "other"): STOPPED}) == "waits for its turn on lane main"


def test_a_message_in_doubt_says_where_to_look() -> None:
    attempt = Attempt(n=1, claimed_ms=0, claimed_offset=0, doubtful=True, doubted_ms=5)
    assert "heliograph doubts" in state(message(Stage.FLYING, attempts=(attempt,)), {})


def test_a_message_that_waits_says_too_that_no_worker_makes_progress_and_one_that_ended_does_not() -> None:
    stopped = "no worker makes progress since 2026-03-03T10:00:00.000Z"
    assert state(message(Stage.WAITING), {}, stopped) == f"waits for its turn on lane main; {stopped}"
    ended = message(Stage.FINAL, word=OutcomeWord.FAILED, reason=Reason.EXPIRED)
    assert state(ended, {}, stopped) == "ended: failed (expired)"
    assert not_taken(stopped) == f"no worker has taken it yet: {stopped}" and not_taken("")[-3:] == "yet"


def test_a_request_for_later_says_the_time_that_it_asked_for() -> None:
    log = given(requested(start_ms=GIVEN_MS + 60_000))
    assert log.message().stage is Stage.SCHEDULED
    assert state(log.message(), {}) == f"scheduled for {clock.iso(GIVEN_MS + 60_000)}"
