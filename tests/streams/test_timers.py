"""When what is due becomes a record: from the rows, at its time, and again until the row drops it."""

from itertools import pairwise

import msgspec
from hypothesis import given as cases
from hypothesis import strategies as st

from app.domain.model.contact import Message
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass
from app.streams.timers.timers import RESEND_S, PartitionTimers
from tests.support.given import (
    HOUR_MS,
    MESSAGE,
    START_MS,
    ContactLog,
    cancel,
    doubtful,
    due,
    given,
    refused,
    report,
    requested,
    taken,
    turn,
)

BOOT_S = 5000.0
NOW = (START_MS + 1000, BOOT_S)


def armed(log: ContactLog, now: tuple[int, float] = NOW) -> PartitionTimers:
    timers = PartitionTimers()
    timers.arm(log.message(), now)
    return timers


def kinds(timers: PartitionTimers, boot_s: float) -> list[DueKind]:
    return [kind for _, kind, _, _ in timers.due(boot_s)]


def test_a_waiting_message_comes_due_at_its_deadline_and_not_before():
    timers = armed(given(requested()))
    at_s = BOOT_S + (HOUR_MS - 1000) / 1000
    assert timers.next_s() == at_s
    assert list(timers.due(at_s - 0.001)) == []
    assert list(timers.due(at_s)) == [(MESSAGE, DueKind.EXPIRE, START_MS + HOUR_MS, "acme")]


def test_what_came_due_while_nobody_owned_the_partition_is_due_at_once():
    timers = armed(given(requested()), (START_MS + 5 * HOUR_MS, BOOT_S))
    assert kinds(timers, BOOT_S) == [DueKind.EXPIRE]


def test_a_scheduled_message_waits_for_its_start_and_its_deadline():
    timers = armed(given(requested(start_ms=START_MS + 61_000)))
    assert (len(timers), kinds(timers, BOOT_S + 60)) == (2, [DueKind.START])


def test_a_recall_is_due_at_once_though_the_brokers_clock_is_ahead_of_ours():
    held = requested(handed_over=True, start_ms=START_MS + HOUR_MS - 1)
    log = given(held, turn(), taken(), report(DeliveryStatus.ACCEPTED), cancel())
    assert log.message().recall_ms == log.now_ms
    assert kinds(armed(log, (START_MS - HOUR_MS, BOOT_S)), BOOT_S) == [DueKind.RECALL]


def test_a_due_entry_is_sent_again_after_thirty_seconds_until_its_row_drops_it():
    log = given(requested())
    timers, at_s = armed(log), BOOT_S + HOUR_MS / 1000
    assert kinds(timers, at_s) == [DueKind.EXPIRE]
    assert kinds(timers, at_s + RESEND_S - 0.001) == []
    assert kinds(timers, at_s + RESEND_S) == [DueKind.EXPIRE]
    log.then(due(DueKind.EXPIRE, START_MS + HOUR_MS))
    timers.arm(log.message(), (START_MS + HOUR_MS, at_s + RESEND_S))
    assert kinds(timers, at_s + 3 * RESEND_S) == []


def test_one_whose_record_is_folded_and_changes_nothing_is_sent_ever_more_seldom():
    """Each may have been a dead letter: 24 hours of them at an interval of 30 s would be 2,880."""
    timers, at_s, sent = armed(given(requested())), NOW[1] + HOUR_MS / 1000, list[int]()
    for at in range(0, 24 * 3600, 15):
        for entry in timers.due(at_s + at):
            sent.append(at)
            timers.sent(entry, at)
    gaps = [later - at for at, later in pairwise(sent)]
    assert gaps[:4] == [30, 30, 60, 120] and max(gaps) == 3600 and len(sent) < 40


def test_one_that_could_not_be_sent_comes_due_again_every_thirty_seconds():
    """A round that fails must not put off what others wait for."""
    timers, at_s = armed(given(requested())), NOW[1] + HOUR_MS / 1000
    assert [at for at in range(0, 600, 15) if list(timers.due(at_s + at))] == list(range(0, 600, 30))


def test_while_its_record_waits_to_be_folded_a_due_entry_is_not_sent_again_and_then_it_is():
    timers, at_s = armed(given(requested())), BOOT_S + HOUR_MS / 1000
    (entry,) = timers.due(at_s, folded_to=100)
    timers.sent(entry, 250)
    assert [list(timers.due(at_s + n * RESEND_S, folded_to=250)) for n in range(1, 50)] == [[]] * 49
    assert list(timers.due(at_s + 50 * RESEND_S, folded_to=251)) == [entry]


def test_one_that_a_row_dropped_and_took_up_again_does_not_wait_for_the_record_of_before():
    log = given(requested())
    timers, at_s = armed(log), BOOT_S + HOUR_MS / 1000
    (entry,) = timers.due(at_s, folded_to=100)
    timers.sent(entry, 250)
    timers.disarm(MESSAGE)
    assert list(timers.due(at_s + RESEND_S, folded_to=100)) == []
    timers.arm(log.message(), (START_MS + HOUR_MS, at_s + RESEND_S))
    assert list(timers.due(at_s + RESEND_S, folded_to=100)) == [entry]


def test_a_row_that_says_something_else_voids_what_was_armed():
    log = given(requested())
    timers = armed(log)
    timers.arm(log.then(turn(), taken(), report(DeliveryStatus.DELIVERED)).message(), NOW)
    assert kinds(timers, BOOT_S + 2 * HOUR_MS / 1000) == []
    assert kinds(timers, BOOT_S + 31 * 24 * HOUR_MS / 1000) == [DueKind.FORGET]


def test_a_row_that_is_gone_has_no_timers():
    timers = armed(given(requested()))
    timers.disarm(MESSAGE)
    assert (len(timers), kinds(timers, BOOT_S + HOUR_MS)) == (0, [])


def test_doubt_has_its_whole_time_from_when_this_owner_inherited_the_claim():
    claimed_long_ago = (START_MS + HOUR_MS // 2, BOOT_S)
    timers = armed(given(requested(), turn()), claimed_long_ago)
    assert kinds(timers, BOOT_S + 59.9) == []
    assert kinds(timers, BOOT_S + 60) == [DueKind.DOUBT]


def test_doubt_is_a_duration_though_the_logs_clock_runs_ahead_of_ours():
    timers = armed(given(requested(), turn()), (START_MS - HOUR_MS, BOOT_S))
    assert kinds(timers, BOOT_S + 60) == [DueKind.DOUBT]


def test_a_change_of_the_row_that_leaves_the_doubt_gives_it_no_new_time():
    log = given(requested(), turn())
    timers = armed(log)
    changed = msgspec.structs.replace(log.message(), cancel_requested_ms=1)
    timers.arm(changed, (NOW[0] + 50_000, BOOT_S + 50))
    assert kinds(timers, BOOT_S + 60) == [DueKind.DOUBT]


def test_an_answer_in_doubt_leaves_the_deadline_for_reports_and_looks_at_twilios_list():
    timers = armed(given(requested(), turn(), doubtful()))
    assert set(kinds(timers, BOOT_S + 3 * HOUR_MS / 1000)) == {DueKind.OUTCOME, DueKind.LOOK}


def test_a_deadline_that_each_retry_drops_and_takes_up_again_is_due_once():
    log = given(requested())
    timers = armed(log)
    for n in range(1, 6):
        for step in (turn(n), refused(ErrorClass.THROTTLED, n, 20429)):
            timers.arm(log.then(step).message(), NOW)
        timers.arm(log.then(due(DueKind.RETRY, log.message().due_ms)).message(), NOW)
    assert kinds(timers, BOOT_S + HOUR_MS / 1000) == [DueKind.EXPIRE]


@st.composite
def lives(draw) -> list[Message]:
    """Rows of one message as they stood, one after the other."""
    log, rows = given(requested()), []
    steps = {
        "turn": turn,
        "taken": taken,
        "doubt": doubtful,
        "throttled": lambda n: refused(ErrorClass.THROTTLED, n, 20429),
    }
    for word in draw(st.lists(st.sampled_from([*steps, "retry"]), max_size=12)):
        attempts = len(log.message().attempts)
        again = due(DueKind.RETRY, log.message().due_ms)
        log.then(again if word == "retry" else steps[word](attempts + (word == "turn") or 1))
        rows.append(log.message())
    return [given(requested()).message(), *rows]


@cases(lives())
def test_whatever_became_of_a_message_each_entry_of_its_last_row_is_due_once_and_nothing_else(rows):
    timers, fresh = PartitionTimers(), PartitionTimers()
    for row in rows:
        timers.arm(row, NOW)
    fresh.arm(rows[-1], NOW)
    late_s = BOOT_S + 100 * HOUR_MS
    assert sorted(timers.due(late_s)) == sorted(fresh.due(late_s))
