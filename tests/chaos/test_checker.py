"""The checker: in a good story it finds nothing; each planted violation it finds, by the rule meant for it."""

import pytest

from app.domain.model.vocabulary import ErrorClass
from app.provider.error_advice import ADVICE
from ops.chaos import checker, doubt, loss_rules, sight
from ops.chaos.evidence import Record
from tests.support.chaos_story import CONTACT, MESSAGE, Story, good, only


def test_a_good_story_has_no_fault():
    assert set(checker.counts(good().judged()).values()) == {0}


def test_an_acknowledged_request_without_an_outcome_is_missing():
    assert only(good().note("requested", key="k2"), "missing_outcomes") == [
        "request k2: 0 outcomes of revision 1, not 1"
    ]


def test_two_messages_for_one_request_are_no_single_outcome():
    story = good()
    listed = {"id": "c1-m2:1", "revision": 1, "message_id": "c1-m2", "attempts": []}
    story.put("outcomes", "c1-m2", idempotency_key="k1", outcome="delivered", **listed)
    assert len(only(story, "missing_outcomes")) == 1


def test_the_same_outcome_again_is_no_fault_but_another_content_under_its_id_is():
    assert set(checker.counts(good().outcome(1).judged()).values()) == {0}
    assert len(only(good().outcome(1, word="failed"), "conflicting_outcomes")) == 1


@pytest.mark.parametrize("topic", ["updates", "consent", "inbound"])
def test_other_notices_keep_their_contents_too(topic):
    story = good()
    for word in ("a", "b"):
        story.put(topic, CONTACT, id="x", event=word)
    assert len(only(story, "conflicting_outcomes")) == 1


def test_a_second_create_of_one_attempt_is_a_duplicate():
    assert len(only(good().create(), "duplicate_creates")) == 1


def test_a_second_attempt_without_a_permission_is_a_duplicate():
    story = good().turn(2).row(5, {"progress": 10}).create(2)
    assert len(only(story, "duplicate_creates")) == 1


def retried(error: str = "transient", *, before: bool = True) -> Story:
    """The first attempt fails by a report, before the second turn or after it."""
    story = Story().log("requested", message_id=MESSAGE, policy={}).turn().create()
    steps = [lambda: story.report(7, error=error), lambda: story.turn(2)]
    for step in steps if before else reversed(steps):
        step()
    return story.create(2).outcome(1, 2).row(3, {"progress": 7}, {})


@pytest.mark.parametrize("error", checker.RETRIED)
def test_a_folded_failure_that_allows_a_retry_covers_a_second_create(error):
    assert set(checker.counts(retried(error).judged()).values()) == {0}


def test_the_classes_that_allow_a_retry_are_those_of_the_fold():
    assert set(checker.RETRIED) == {error for error in ErrorClass if "further attempt" in ADVICE[error].here}


def test_news_of_a_number_is_no_update_of_a_message():
    story = good()
    story.put("updates", CONTACT, id="n", type="notify.number_changed.v1", state="invalid", message_id=MESSAGE)
    assert set(checker.counts(story.judged()).values()) == {0} and doubt.doubts(story.evidence()) == []


def test_a_failure_folded_after_the_turn_or_of_another_class_covers_nothing():
    assert len(only(retried(before=False), "duplicate_creates")) == 1
    assert len(only(retried(error="filtered"), "duplicate_creates")) == 1


def test_an_outcome_must_list_every_attempt_that_was_created():
    story = retried()
    story.topics["outcomes"].clear()
    assert "does not list" in only(story.outcome(2), "duplicate_creates")[0]


@pytest.mark.parametrize(("policy", "faults"), [({"resend_after_ms": 2000}, 0), ({}, 1)])
def test_a_resend_in_doubt_is_covered_where_the_tenant_chose_it(policy, faults):
    story = Story().log("requested", message_id=MESSAGE, policy=policy).turn().create()
    story.put("updates", MESSAGE, id="u", event="doubted", message_id=MESSAGE, attempt=1, at_ms=1, cause={"offset": 1})
    story.turn(2).create(2).outcome(1, 2).row(2, {}, {})
    assert checker.counts(story.judged())["duplicate_creates"] == faults


def test_a_call_whose_turn_lies_after_a_stop_is_found():
    story = Story().text("stop", 100).turn().call(1200).row(1)
    assert "its turn lies after a STOP" in only(story, "sends_after_stop")[0]


def test_a_call_of_an_earlier_turn_must_leave_within_claim_ttl_of_the_stop():
    assert set(checker.counts(Story().turn().text("stop", 100).call(3900).row(1).judged()).values()) == {0}
    assert "ms after a STOP" in only(Story().turn().text("stop", 100).call(5000).row(1), "sends_after_stop")[0]


def test_a_start_received_well_after_the_stop_reopens_whatever_their_order_on_the_log():
    assert set(
        checker.counts(Story().text("stop", 100).text("start", 5000).turn().call(2500).row(2).judged()).values()
    ) == {0}
    assert set(
        checker.counts(Story().text("start", 5000).text("stop", 100).turn().call(2500).row(2).judged()).values()
    ) == {0}


def test_a_start_delivered_again_after_the_stop_does_not_reopen():
    story = Story().text("start", 100, "SM1").text("stop", 5000, "SM2").text("start", 9000, "SM1")
    assert len(only(story.turn().call(9500).row(3), "sends_after_stop")) == 1


def test_a_start_received_too_soon_after_the_stop_does_not_reopen():
    assert len(only(Story().text("stop", 100).text("start", 1500).turn().call(2500).row(2), "sends_after_stop")) == 1


def test_twilios_word_that_a_person_opted_out_closes_too():
    story = good().report(6, error="opted_out", at=50, sid="SM1").turn(2).call(6000, 2).row(5, {"progress": 10})
    assert len(only(story, "sends_after_stop")) == 1


def test_a_webhook_that_was_answered_and_is_not_on_the_log_is_lost():
    hook = {"path": "/twilio/status", "message_id": MESSAGE, "attempt": 1, "sid": "SM1", "status": "delivered"}
    assert len(only(good().note("webhook", **hook), "lost_acknowledged")) == 1
    assert len(only(good().note("texted", sid="SM9", word="STOP"), "lost_acknowledged")) == 1


def test_an_answer_that_a_living_process_got_must_be_on_the_log():
    answer = {"worker": "worker-1", "message_id": MESSAGE, "attempt": 2, "sid": "SM2", "status": 201}
    assert len(only(good().note("answered", 9000, **answer), "lost_acknowledged")) == 1
    died = good().note("answered", 9000, **answer).killed(9100, "worker-1")
    assert set(checker.counts(died.judged()).values()) == {0}
    other = good().note("answered", 9000, **answer).killed(9100, "worker-2")
    assert len(only(other, "lost_acknowledged")) == 1


def test_a_report_that_its_attempt_does_not_reflect_is_lost():
    story = good()
    story.topics["contacts-changelog"].clear()
    assert "stands at 4, reported 10" in only(story.row(3, {"progress": 4}), "lost_acknowledged")[0]


def test_attempts_that_a_row_keeps_no_more_leave_the_others_their_numbers():
    story = good().turn(22).report(4, 22)
    story.topics["contacts-changelog"].clear()
    kept = {"n": 1, "progress": 10}
    assert only(story.row(5, kept, {"n": 22, "progress": 3}), "lost_acknowledged") == [
        f"message {MESSAGE}: attempt 22 stands at 3, reported 4"
    ]
    story.topics["contacts-changelog"].clear()
    assert story.row(5, kept, {"n": 22, "progress": 4}).judged()["lost_acknowledged"] == []


def test_a_row_behind_its_log_or_gone_back_is_found():
    story = good()
    story.topics["contacts-changelog"].clear()
    assert f"message {MESSAGE}: is in no row" in only(story, "lost_acknowledged")
    assert len(only(good().row(1, {"progress": 10}), "lost_acknowledged")) == 2


def test_a_text_that_the_row_does_not_show_is_found_and_one_that_says_nothing_new_is_not_waited_for():
    assert len(only(good().text("stop", 3500), "lost_acknowledged")) == 1
    told = good().text("stop", 3500).row(4, {"progress": 10, "sid": "SM1", "answer": "taken"}).text("stop", 3600)
    assert set(checker.counts(told.judged()).values()) == {0}


def test_a_row_that_goes_back_is_found_though_it_is_put_right_again_unless_the_network_held_it():
    back = good().row(1, {"progress": 10}).row(3, {"progress": 10})
    assert "went back from 3 to 1" in only(back, "lost_acknowledged")[0]
    held = back.note("fault", 500, kind="kafka_half_open").note("undone", 900, kind="kafka_half_open")
    assert set(checker.counts(held.judged()).values()) == {0}


def test_what_cannot_be_read_is_not_waited_for_in_the_row():
    story = good()
    story.topics["contacts"].append(Record(0, 4, 4000, CONTACT, b"{", None))
    story.put("deadletters", CONTACT, source="chaos.contacts-0-4")
    assert set(checker.counts(story.judged()).values()) == {0}


def test_a_harness_that_saw_nothing_is_told_from_promises_that_held():
    assert sight.unseen(good().evidence()) == []
    blind = good()
    blind.diary = [entry for entry in blind.diary if entry["did"] != "called"]
    assert sight.unseen(blind.evidence()) == [f"message {MESSAGE}: attempt 1 was created, no call was seen"]
    assert sight.unseen(Story().evidence()) == ["nothing was created: the run proves nothing"]


def test_doubts_are_counted_by_how_they_were_resolved():
    story = Story()
    for number in (1, 2, 3):
        said = {"message_id": MESSAGE, "attempt": number, "at_ms": 1000, "cause": {"offset": 0}}
        story.put("updates", MESSAGE, id=str(number), event="doubted", **said)
    story.log("requested", message_id=MESSAGE, policy={}).turn().turn().report(4, 1)
    story.row(3, {"progress": 4, "sid": "SM1"}, {"answer": "refused"}, {"answer": "doubtful"})
    found = doubt.doubts(story.evidence())
    assert doubt.tally(found) == {"resolved_sent": 1, "resolved_not_sent": 1, "reported": 1}
    assert [d.took_ms for d in found] == [2000, 0, None]


@pytest.mark.parametrize(("doubted_at", "lost"), [(8000, 0), (9010, 0), (9900, 1)])
def test_an_answer_whose_time_was_over_as_it_came_may_be_a_doubt(doubted_at, lost):
    answer = {"worker": "worker-1", "message_id": MESSAGE, "attempt": 2, "sid": "SM2", "status": 201}
    story = good().note("answered", 9000, **answer)
    story.log("answered", message_id=MESSAGE, attempt=2, answer="doubtful", sid="", at=doubted_at)
    assert len(loss_rules.lost_answers(story.evidence())) == lost


@pytest.mark.parametrize(("had_at", "needless"), [(1000, True), (9500, False), (12_000, False)])
def test_a_doubt_about_a_call_whose_answer_a_living_process_had_is_needless(had_at, needless):
    said = {"message_id": MESSAGE, "attempt": 1, "at_ms": 10_000, "cause": {"offset": 1}}
    story = good().put("updates", MESSAGE, id="u", event="doubted", **said)
    story.log("answered", message_id=MESSAGE, attempt=1, answer="taken", sid="SM1", at=had_at).row(4, {"progress": 10})
    assert len(story.judged()["needless_doubts"]) == needless


def test_a_doubt_says_what_was_heard_of_the_call():
    story = Story()
    for number in (1, 2, 3):
        said = {"message_id": MESSAGE, "attempt": number, "at_ms": 9000, "cause": {"offset": 0}}
        story.put("updates", MESSAGE, id=str(number), event="doubted", **said)
    story.log("answered", message_id=MESSAGE, attempt=1, answer="doubtful", why="timeout", at=1)
    story.log("answered", message_id=MESSAGE, attempt=2, answer="doubtful", why="", http_status=500, at=1)
    found = doubt.doubts(story.evidence())
    assert [d.cause for d in found] == ["timeout", "HTTP 500", "its process ended"]
    assert doubt.causes(found) == "1 timeout, 1 HTTP 500, 1 its process ended"
