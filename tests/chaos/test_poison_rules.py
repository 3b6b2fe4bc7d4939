"""Rules over poison and exits: each finds the violation that is meant for it, and nothing in what is right."""

from typing import Any

import pytest

from ops.chaos import checker
from ops.chaos.evidence import Record, RowHistory
from ops.chaos.promises import Promise
from tests.support.chaos_story import CONTACT, Story, good, only


def produced(promise: Promise, key: str = "k2", recipients: int = 1, **more: Any) -> Story:
    """A good story, and a poison record at notify.requests-1-7."""
    where = {"kind": "poison", "partition": 1, "offset": 7, "behind": [], **more}
    return good().note("produced", promise=promise, key=key, recipients=recipients, **where)


def outcome(story: Story, message: str = "c2-m1", key: str = "k2", word: str = "delivered", attempts: int = 1) -> Story:
    made = {"id": f"{message}:1", "revision": 1, "message_id": message, "attempts": [{"attempt": 1}] * attempts}
    return story.put("outcomes", message, idempotency_key=key, outcome=word, **made)


def letter(story: Story, source: str = "chaos.notify.requests-1-7") -> Story:
    return story.put("deadletters", source, source=source)


def sound(story: Story) -> bool:
    return set(checker.counts(story.judged()).values()) == {0}


@pytest.mark.parametrize("promise", [Promise.TEXTED, Promise.OUTCOME, Promise.REJECTED])
def test_each_recipient_of_poison_with_outcomes_has_exactly_one(promise: Promise) -> None:
    word = "rejected" if promise == Promise.REJECTED else "delivered"
    story = outcome(produced(promise, recipients=2), word=word)
    assert len(only(story, "missing_outcomes")) == 1
    assert sound(outcome(story, "c3-m1", word=word))
    assert len(only(outcome(story, "c4-m1", word=word), "missing_outcomes")) == 1


def test_a_legal_request_that_no_call_was_attempted_for_is_found() -> None:
    assert sound(outcome(produced(Promise.TEXTED)))
    assert "without an attempt" in only(outcome(produced(Promise.TEXTED), attempts=0), "untexted_poison")[0]
    assert sound(outcome(produced(Promise.OUTCOME), word="expired", attempts=0))


def test_what_breaks_a_rule_must_be_rejected() -> None:
    assert sound(outcome(produced(Promise.REJECTED), word="rejected", attempts=0))
    assert only(outcome(produced(Promise.REJECTED)), "lost_poison") == ["poison: record 1-7 k2 was not rejected"]


def test_what_cannot_be_read_must_be_in_the_dead_letter_of_its_own_place() -> None:
    story = produced(Promise.DEAD_LETTER, key="")
    assert only(story, "lost_poison") == ["poison: record 1-7 is in no dead letter"]
    assert len(only(letter(story, "chaos.contacts-1-7"), "lost_poison")) == 1
    assert sound(letter(story))


def test_poison_on_the_log_of_contacts_must_be_in_a_dead_letter() -> None:
    story = good().note("poisoned", partition=0, offset=4)
    assert only(story, "lost_poison") == ["contacts-0-4 is in no dead letter"]
    assert sound(letter(story, "chaos.contacts-0-4"))


def test_what_may_be_either_must_be_one_of_the_two() -> None:
    assert len(only(produced(Promise.ANSWERED), "lost_poison")) == 1
    assert sound(letter(produced(Promise.ANSWERED))) and sound(outcome(produced(Promise.ANSWERED)))


def test_a_cancel_without_a_message_is_kept_or_in_a_dead_letter() -> None:
    story = produced(Promise.CANCELED, key="c2-m9")
    assert len(only(story, "lost_poison")) == 1
    story.log("cancel_requested", message_id="c2-m9")
    refused = letter(story, "chaos.contacts-0-4")
    refused.row(4, {"progress": 10, "sid": "SM1", "answer": "taken"})
    assert sound(refused)
    kept = produced(Promise.CANCELED, key="c2-m9")
    assert sound(kept.put("updates", "c2-m9", id="u", event="cancel_kept", message_id="c2-m9"))


def test_nothing_may_follow_from_a_record_of_an_aborted_transaction() -> None:
    assert sound(produced(Promise.NEVER))
    for trace in (letter, outcome):
        assert len(only(trace(produced(Promise.NEVER)), "aborted_texted")) == 1
    asked = produced(Promise.NEVER).ask("c1-m2", "k2")
    asked.put("messages-changelog", "c1-m2", id="c1-m2")
    assert len(only(asked.row(4, {"progress": 10}), "aborted_texted")) == 1


@pytest.mark.parametrize(("order", "found"), [("cpcp", 0), ("pcc", 0), ("ccp", 1)])
def test_an_ordinary_request_must_not_wait_for_the_last_recipient_of_a_campaign(order: str, found: int) -> None:
    story = good().note("produced", kind="x", promise=Promise.ANSWERED, key="p", partition=1, offset=9, behind=["c"])
    letter(story, "chaos.notify.requests-1-9")
    for number, who in enumerate(order):
        story.ask(f"c1-{who}{number if who == 'c' else ''}", who)
    story.row(3 + len(order), {"progress": 10})
    assert len(story.judged()["held_up"]) == found


def frozen(called_at: int) -> Story:
    story = good().note("frozen", 5000, key="deadly").note("thawing", 9000, key="deadly")
    story.ask("c1-m5", "deadly").row(4, {"progress": 10})
    story.put("messages-changelog", "c1-m5", id="c1-m5")
    return story.call(called_at)


def test_a_contact_is_not_called_while_it_is_frozen() -> None:
    assert sound(frozen(4999)) and sound(frozen(9001))
    assert only(frozen(6000), "frozen_texted") == [f"contact {CONTACT} is frozen and was called"]


def died(code: int, *, kind: str = "worker_kill", exits: tuple[int, ...] = (), signals: tuple[int, ...] = ()) -> Story:
    story = good().note("fault", 1, kind=kind, exits=list(exits))
    for number in signals:
        story.note("signaled", 2, part="worker-1", signal=number)
    return story.note("died", 3, part="worker-1", code=code, said="its last words")


@pytest.mark.parametrize(
    ("code", "given"),
    [(-9, {"signals": (9,)}), (0, {"signals": (15,)}), (-15, {"signals": (15,)}), (70, {"exits": (70,)})],
)
def test_an_exit_that_the_harness_or_its_fault_caused_is_none_that_nobody_asked_for(code: int, given: Any) -> None:
    assert sound(died(code, **given))


@pytest.mark.parametrize(
    ("code", "given"),
    [(-9, {}), (0, {"signals": (9,)}), (70, {"signals": (15,)}), (78, {"exits": (70,)}), (-11, {"exits": (70,)})],
)
def test_an_exit_that_nobody_asked_for_is_found(code: int, given: Any) -> None:
    assert only(died(code, **given), "unasked_exits") == [
        f"worker-1 ended with {code} after worker_kill: its last words"
    ]


def test_a_signal_explains_one_death_and_the_exits_of_a_fault_end_with_the_next_fault() -> None:
    twice = died(-9, signals=(9,)).note("died", 4, part="worker-1", code=-9)
    assert len(only(twice, "unasked_exits")) == 1
    later = died(70, exits=(70,)).note("fault", 4, kind="poison", exits=[]).note("died", 5, part="worker-2", code=70)
    assert len(only(later, "unasked_exits")) == 1


def test_of_rows_that_were_written_over_the_watermark_alone_is_kept() -> None:
    history = RowHistory()
    for offset, (key, watermark) in enumerate([("a", 1), ("b", 2), ("a", 3)]):
        raw = b'{"watermark":%d,"messages":{}}' % watermark
        history.add(Record(0, offset, 0, key, raw, None))
    history.add(Record(0, 3, 0, "b", b"", None))
    values = [record.value for record in history.records()]
    assert values == [{"watermark": 1}, {"watermark": 2}, {"watermark": 3, "messages": {}}, None]
