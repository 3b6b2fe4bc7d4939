"""A lane whose set-up Twilio refuses: stopped, probed, set going again, as sentences."""

import pytest

from app.domain.lanes.circuit_breaker import FIRST_HOLD_MS, LONGEST_HOLDS, UNDECIDED_MS
from app.domain.lanes.lane import REGRANT_MS, Lane
from app.domain.model.effects import LaneProved, LaneSlowed, PermitRequest
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Priority, Proof
from tests.support.given import (
    START_MS,
    ContactLog,
    abandoned,
    doubtful,
    due,
    given,
    refused,
    report,
    requested,
    taken,
    turn,
)

CONFIG = ErrorClass.CONFIGURATION


def effects(log: ContactLog, kind: type) -> list[object]:
    return [effect for effect in log.effects if isinstance(effect, kind)]


def test_a_refused_set_up_stops_the_lane_and_says_by_which_code() -> None:
    log = given(requested(), turn(), refused(CONFIG, code=20003))
    assert effects(log, LaneSlowed) == [
        LaneSlowed(lane="main", error=CONFIG, hold_ms=0, code=20003, proof=Proof.TAKEN, begun_ms=START_MS + 2000)
    ]


def test_a_set_up_that_fails_after_acceptance_stops_it_until_a_carrier_takes_a_text() -> None:
    log = given(requested(), turn(), taken(), report(DeliveryStatus.FAILED, code=30034, error=CONFIG))
    assert [(e.proof, e.code) for e in effects(log, LaneSlowed)] == [(Proof.SENT, 30034)]


def probed(proof: Proof) -> ContactLog:
    return given(requested(), turn(1, probe=proof))


@pytest.mark.parametrize(
    "told", [taken(), report(DeliveryStatus.QUEUED), refused(ErrorClass.NUMBER_INVALID, code=21211)]
)
def test_a_probe_that_twilio_takes_sets_the_lane_going(told) -> None:
    assert effects(probed(Proof.TAKEN).then(told), LaneProved) == [LaneProved(lane="main")]


def test_a_probe_that_a_carrier_must_take_is_not_content_with_twilio() -> None:
    log = probed(Proof.SENT).then(taken(), report(DeliveryStatus.QUEUED))
    assert effects(log, LaneProved) == []
    assert effects(log.then(report(DeliveryStatus.SENT)), LaneProved) == [LaneProved(lane="main")]


@pytest.mark.parametrize("told", [abandoned(), refused(ErrorClass.TRANSIENT), refused(ErrorClass.THROTTLED)])
def test_a_probe_that_says_nothing_of_the_set_up_leaves_the_lane_stopped(told) -> None:
    log = probed(Proof.TAKEN).then(told)
    assert effects(log, LaneProved) == []
    assert [(e.probe, e.error is CONFIG) for e in effects(log, LaneSlowed)] == [(True, False)]


def test_a_probe_of_which_more_may_be_heard_says_nothing_yet() -> None:
    for told in (doubtful(), taken()):
        assert effects(probed(Proof.SENT).then(told), LaneSlowed) == []
    failed = report(DeliveryStatus.FAILED, code=30008, error=ErrorClass.UNKNOWN)
    assert [e.probe for e in effects(probed(Proof.SENT).then(taken(), failed), LaneSlowed)] == [True]


def test_a_probe_that_told_nothing_is_followed_by_another_soon_and_not_by_two() -> None:
    made = lane()
    stop(made, 0)
    (first,) = made.grants(FIRST_HOLD_MS)
    made.answered((first.message_id, 1))
    made.undecided(FIRST_HOLD_MS + 100)
    assert made.next_at(FIRST_HOLD_MS + 100) == FIRST_HOLD_MS + 100 + UNDECIDED_MS
    (second,) = made.grants(FIRST_HOLD_MS + 100 + UNDECIDED_MS)
    assert second.message_id != first.message_id
    assert made.next_at(FIRST_HOLD_MS + 100 + UNDECIDED_MS) == 2 * FIRST_HOLD_MS + 100 + UNDECIDED_MS
    lane().undecided(0)  # one that goes is not touched


def test_probes_that_tell_nothing_one_after_another_come_ever_more_seldom() -> None:
    made, now, pauses = lane(), 0, []
    stop(made, now)
    for _ in range(6):
        now = made.next_at(now) or 0
        (granted,) = made.grants(now)
        made.answered((granted.message_id, 1))
        made.undecided(now)
        pauses.append((made.next_at(now) or 0) - now)
    assert pauses == [UNDECIDED_MS * 2**n for n in range(4)] + [FIRST_HOLD_MS] * 2


def test_a_probe_that_is_refused_says_that_it_was_one() -> None:
    assert [e.probe for e in effects(probed(Proof.TAKEN).then(refused(CONFIG)), LaneSlowed)] == [True]


def test_an_attempt_that_was_no_probe_sets_nothing_going() -> None:
    log = given(requested(), turn(), refused(CONFIG))
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), taken(2, "SM2"))
    assert effects(log, LaneProved) == []


def lane(asks: int = 10, rate: float = 0) -> Lane:
    made = Lane(rate, rate, 0)
    for n in range(asks):
        made.ask(
            PermitRequest(
                message_id=f"c-{n}", attempt=1, lane="l", priority=Priority.NORMAL, segments=1, expires_ms=10**15
            )
        )
    return made


def stop(made: Lane, now_ms: int, proof: Proof = Proof.TAKEN, *, probe: bool = False, begun_ms: int = 10**12) -> bool:
    return made.refused(now_ms, proof, 20003, begun_ms=begun_ms, probe=probe)


def test_a_stopped_lane_grants_nothing_then_one_probe_and_no_other_before_its_time() -> None:
    made = lane()
    assert stop(made, 0) and list(made.grants(FIRST_HOLD_MS - 1)) == []
    assert made.next_at(0) == FIRST_HOLD_MS
    assert len(list(made.grants(FIRST_HOLD_MS))) == 1
    assert list(made.grants(FIRST_HOLD_MS + REGRANT_MS)) == []
    assert len(list(made.grants(2 * FIRST_HOLD_MS))) == 1


def test_each_probe_that_is_refused_makes_the_next_one_later_up_to_a_quarter_of_an_hour() -> None:
    made, now = lane(), 0
    stop(made, now)
    for _ in range(8):
        now = made.next_at(now) or 0
        (granted,) = made.grants(now)
        made.answered((granted.message_id, 1))
        assert not stop(made, now, probe=True)
    assert made.next_at(now) == now + LONGEST_HOLDS * FIRST_HOLD_MS


def test_refusals_of_calls_that_were_on_their_way_do_not_make_the_probe_later() -> None:
    made = lane()
    assert [stop(made, at) for at in (0, 100, 200)] == [True, False, False]
    assert made.next_at(0) == FIRST_HOLD_MS


def test_a_lane_that_is_proved_grants_all_that_waits_and_turns_that_were_not_answered() -> None:
    made = lane(3)
    assert len(list(made.grants(0))) == 3
    stop(made, 0)
    assert [ask.message_id for ask in made.grants(FIRST_HOLD_MS)] == ["c-0"]  # none waits: one that did not answer
    assert made.proved(FIRST_HOLD_MS + 1) and not made.proved(FIRST_HOLD_MS + 2)
    assert len(list(made.grants(FIRST_HOLD_MS + REGRANT_MS))) == 3


def test_a_late_word_on_an_attempt_from_before_it_was_mended_does_not_stop_it_again() -> None:
    made = lane()
    stop(made, 0)
    made.proved(5000)
    assert not stop(made, 6000, begun_ms=4000) and made.circuit is None
    assert stop(made, 6000, begun_ms=5500)


def test_a_failure_after_acceptance_asks_for_the_stronger_proof_from_then_on() -> None:
    made = lane()
    stop(made, 0)
    stop(made, 1, Proof.SENT)
    assert made.circuit is not None and made.circuit.proof is Proof.SENT


def test_a_stopped_lane_with_nothing_to_send_sleeps() -> None:
    made = lane(0)
    stop(made, 0)
    assert made.next_at(0) is None and list(made.grants(FIRST_HOLD_MS)) == []


def test_a_probe_keeps_to_the_rate_and_to_what_throttling_asks() -> None:
    made = lane(rate=1)
    stop(made, 0)
    made.hold(FIRST_HOLD_MS + 500)
    assert list(made.grants(FIRST_HOLD_MS)) == [] and made.next_at(FIRST_HOLD_MS) == FIRST_HOLD_MS + 500
    assert len(list(made.grants(FIRST_HOLD_MS + 500))) == 1
