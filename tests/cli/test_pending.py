"""What a message without an outcome waits for, in words."""

import pytest

from app.cli.pending import not_taken, state
from app.domain.contact import Attempt, Message
from app.domain.policy import Policy
from app.domain.words import Category, Priority, Proof, Reason, Stage, Word
from app.records.lanes import Stopped

POLICY = Policy(
    lane="main", priority=Priority.NORMAL, category=Category.TRANSACTIONAL, segments=1, expires_ms=1, outcome_ms=1
)
STOPPED = Stopped(tenant="acme", lane="main", proof=Proof.TAKEN, until_ms=0, hold_ms=1, since_ms=0, code=20003)


def message(stage: Stage, **given) -> Message:
    base = {"id": "c-m", "tenant": "acme", "idempotency_key": "k", "fingerprint": "", "masked": "", "sealed_to": ""}
    return Message(**base, stage=stage, requested_ms=0, logged_ms=0, policy=POLICY, **given)


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (message(Stage.WAITING), "waits for its turn on lane main"),
        (message(Stage.SCHEDULED, due_ms=0), "scheduled for 1970-01-01T00:00:00.000Z"),
        (message(Stage.HELD, due_ms=0), "held until 1970-01-01T00:00:00.000Z"),
        (message(Stage.RETRYING, due_ms=0), "tried again at 1970-01-01T00:00:00.000Z"),
        (message(Stage.FLYING), "with Twilio: its last report is not there"),
        (message(Stage.FINAL, word=Word.FAILED, reason=Reason.EXPIRED), "ended: failed (expired)"),
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
    ended = message(Stage.FINAL, word=Word.FAILED, reason=Reason.EXPIRED)
    assert state(ended, {}, stopped) == "ended: failed (expired)"
    assert not_taken(stopped) == f"no worker has taken it yet: {stopped}" and not_taken("")[-3:] == "yet"
