"""The demo's judge finds what it must find, and nothing where nothing is wrong."""

from typing import Any

import pytest

from app.dev import demo_checks
from app.dev.demo_checks import FAILED, Seen, kept

CONTACT, PERSON, TTL_S = "c" * 20, "+14155550123", 5.0
START_S = 1_800_000_000.0
OTHER_ID = CONTACT + "-b"


class Story:
    """One message, asked, sent and delivered. Whatever is appended to its lists came of it besides."""

    def __init__(self) -> None:
        self.asked = {"k1": START_S}
        self.outcomes: Seen = [outcome("k1")]
        self.creates = [create(1)]
        self.contacts: Seen = [record(0, "contact.turn_granted.v1"), record(1, "contact.answered.v1", answer="taken")]

    def judged(self) -> dict[str, Any]:
        return demo_checks.summary(self.asked, self.outcomes, self.creates, self.contacts, TTL_S)

    def found(self) -> dict[str, int]:
        """What is broken."""
        result = self.judged()
        assert kept(result) is not any(result[name] for name in demo_checks.PROMISES)
        return {name: result[name] for name in demo_checks.PROMISES if result[name]}


def outcome(key: str, message: str = CONTACT + "-a", revision: int = 1, word: str = "delivered") -> tuple[Any, ...]:
    value = {"id": f"{message}:{revision}", "message_id": message, "idempotency_key": key, "outcome": word}
    return 0, revision, int(START_S * 1000) + 900, {**value, "revision": revision}


def create(attempt: int, message: str = CONTACT + "-a", after_s: float = 0.5, body: str = "hello") -> dict[str, Any]:
    callback = f"https://hooks.example.com/twilio/status?m={message}&a={attempt}#rc=5&rp=all"
    return {"to": PERSON, "body": body, "status_callback": callback, "created_at": START_S + after_s}


def record(offset: int, kind: str, attempt: int = 1, after_s: float = 0.0, **more: Any) -> tuple[Any, ...]:
    value = {"type": kind, "key": CONTACT, "message_id": CONTACT + "-a", "attempt": attempt, **more}
    return 0, offset, int((START_S + after_s) * 1000), value


def stop(offset: int, after_s: float) -> tuple[Any, ...]:
    return record(offset, "contact.texted.v1", after_s=after_s, intent="stop")


@pytest.fixture
def story() -> Story:
    return Story()


def test_where_nothing_is_wrong_nothing_is_found_and_times_are_told(story: Story):
    assert story.found() == {}
    result = story.judged()
    assert (result["messages"], result["creates"], result["outcomes"]) == (1, 1, {"delivered": 1})
    assert result["latency_ms"]["request_to_create"]["p50"] == 500.0
    assert result["latency_ms"]["request_to_outcome"]["p99"] == 900.0


def test_a_message_without_an_outcome_is_missing(story: Story):
    story.asked["k2"] = START_S
    assert story.found() == {"missing_outcomes": 1}


@pytest.mark.parametrize("again", [outcome("k1"), outcome("k1", message=OTHER_ID)])
def test_an_outcome_told_twice_or_a_key_of_two_messages_is_a_duplicate(story: Story, again: tuple[Any, ...]):
    story.outcomes.append(again)
    assert story.found() == {"duplicate_outcomes": 1}


def test_a_later_revision_is_no_duplicate_and_is_the_word_that_counts(story: Story):
    story.outcomes.append(outcome("k1", revision=2, word="undelivered"))
    assert (story.found(), story.judged()["outcomes"]) == ({}, {"undelivered": 1})


@pytest.mark.parametrize("second", [create(1), create(2), create(1, message=OTHER_ID)])
def test_the_same_text_to_the_same_person_twice_is_a_duplicate(story: Story, second: dict[str, Any]):
    story.creates.append(second)
    story.contacts.append(record(2, "contact.turn_granted.v1", attempt=2))
    assert story.found() == {"duplicate_creates": 1}


def test_another_text_is_none(story: Story):
    story.creates.append(create(1, message=OTHER_ID, body="another"))
    assert story.found() == {}


@pytest.mark.parametrize(("failed_at", "found"), [(2, {}), (4, {"duplicate_creates": 1})])
def test_a_retry_is_none_if_its_turn_was_granted_after_the_failure_was_told(
    story: Story, failed_at: int, found: dict[str, int]
):
    story.contacts.append(record(failed_at, "contact.reported.v1", progress=FAILED))
    story.contacts.append(record(3, "contact.turn_granted.v1", attempt=2))
    story.creates.append(create(2))
    assert story.found() == found


def test_a_call_whose_turn_lies_after_the_stop_is_a_send_after_it(story: Story):
    story.contacts.append(stop(2, 0.0))
    story.contacts.append(record(3, "contact.turn_granted.v1", attempt=2))
    story.contacts.append(record(4, "contact.answered.v1", attempt=2, answer="refused"))
    assert story.found() == {"sends_after_stop": 1}


def test_one_that_was_abandoned_is_none(story: Story):
    story.contacts.append(stop(2, 0.0))
    story.contacts.append(record(3, "contact.turn_granted.v1", attempt=2))
    story.contacts.append(record(4, "contact.answered.v1", attempt=2, answer="abandoned"))
    assert story.found() == {}


@pytest.mark.parametrize(("after_s", "found"), [(TTL_S - 0.1, {}), (TTL_S + 0.1, {"sends_after_stop": 1})])
def test_a_claim_from_before_the_stop_may_leave_within_its_time_and_no_later(
    story: Story, after_s: float, found: dict[str, int]
):
    story.contacts.append(stop(2, 1.0))
    story.creates[0] = create(1, after_s=1.0 + after_s)
    assert story.found() == found
