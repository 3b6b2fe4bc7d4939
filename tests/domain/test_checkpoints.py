"""Checkpoints: where a contact's log may be folded from when what lies before is deleted."""

import msgspec
import pytest

from app.config.settings import Settings
from app.domain.model.effects import CheckpointRequest
from app.domain.model.inputs import CheckpointWritten, TimerDue
from app.domain.model.vocabulary import DueKind, Intent
from app.streams.timers.checkpoints import AT_ONCE, PartitionCheckpoints, base_of
from app.streams.timers.timers import RESEND_S
from tests.support.given import BASE, CONTACT, START_MS, ContactLog, cancel, given, requested, text, turn

DAY_MS = 86_400_000


def checkpoint_due(based: int) -> TimerDue:
    return TimerDue(**BASE, message_id="", kind=DueKind.CHECKPOINT, due_ms=START_MS + 14 * DAY_MS, based=based)


def checkpoint(log: ContactLog) -> CheckpointWritten:
    assert log.contact is not None
    return CheckpointWritten(**BASE, row=log.contact)


def test_the_first_input_is_a_rows_base_until_its_checkpoint_is():
    log = given(text(Intent.STOP), requested())
    assert log.contact.based_offset == 0
    log.then(checkpoint_due(0))
    assert log.effects == [CheckpointRequest()]
    log.then(checkpoint(log))
    assert (log.contact.based_offset, log.contact.based_ms) == (3, log.now_ms)


def test_a_due_checkpoint_is_void_once_the_row_has_another_base():
    log = given(text(Intent.STOP), checkpoint_due(5))
    assert log.effects == []


def test_a_checkpoint_is_void_when_the_row_changed_before_it_came():
    log = given(requested(), checkpoint_due(0))
    late = checkpoint(log)
    log.then(text(Intent.STOP), late)
    assert log.contact.based_offset == 0 and log.contact.consent.opted_out


def test_p6_a_checkpoint_alone_gives_the_row_that_the_whole_log_gives():
    log = given(text(Intent.STOP), requested(), turn(), checkpoint_due(0))
    kept = checkpoint(log)
    log.then(kept)
    alone = ContactLog()
    alone.offset, alone.now_ms = log.offset - 1, log.now_ms - 1000
    alone.then(kept)
    assert msgspec.json.encode(alone.contact) == msgspec.json.encode(log.contact)
    assert alone.contact.consent.opted_out


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_p3_a_table_built_anew_from_what_is_left_of_the_log_has_its_stop_from_the_checkpoint(gone):
    log = given(text(Intent.STOP), requested(), cancel("b" * 20), checkpoint_due(0))
    inputs = (text(Intent.STOP), requested(), cancel("b" * 20), checkpoint_due(0), checkpoint(log))
    log.then(inputs[-1])
    left = ContactLog()
    left.offset, left.now_ms = gone - 1, START_MS + 1000 * gone
    left.then(*inputs[gone:])
    assert left.contact.consent.opted_out
    assert msgspec.json.encode(left.contact) == msgspec.json.encode(log.contact)


def test_p7_a_checkpoint_of_another_tenant_is_refused():
    log = given(requested())
    log.then(msgspec.structs.replace(checkpoint(log), tenant="evil"))
    assert log.contact.based_offset == 0 and [event.field for event in log.events] == ["tenant"]


def test_a_checkpoint_is_due_once_the_base_is_old_and_again_until_there_is_another():
    log = given(requested())
    due = PartitionCheckpoints(DAY_MS, [(base_of(log.contact), CONTACT)])
    old_ms = log.contact.based_ms + DAY_MS
    assert list(due.due((old_ms - 1, 0.0))) == []
    assert list(due.due((old_ms, 0.0))) == [(CONTACT, base_of(log.contact), old_ms)]
    assert list(due.due((old_ms, 1.0))) == []
    assert len(list(due.due((old_ms, RESEND_S)))) == 1
    due.arm(CONTACT, log.then(checkpoint_due(0), checkpoint(log)).contact)
    assert list(due.due((old_ms, 99 * RESEND_S))) == [] and len(due) == 1


def test_a_broker_whose_clock_is_behind_does_not_make_checkpoints_follow_each_other_without_end():
    log, ours_ms = given(requested()), START_MS + 100 * DAY_MS
    due = PartitionCheckpoints(DAY_MS)
    due.arm(CONTACT, log.contact, ours_ms)
    assert list(due.due((ours_ms, 0.0))) == [] and len(list(due.due((ours_ms + DAY_MS, 0.0)))) == 1


def test_many_that_are_due_at_once_come_in_turns_the_oldest_first():
    log = given(requested())
    rows = [msgspec.structs.replace(log.contact, based_ms=START_MS + n) for n in range(AT_ONCE + 5)]
    due = PartitionCheckpoints(0, [(base_of(row), f"c{n}") for n, row in enumerate(reversed(rows))])
    first, second = (list(due.due((START_MS + DAY_MS, float(at)))) for at in range(2))
    assert (len(first), len(second)) == (AT_ONCE, 5)
    assert [base.grown_ms for _, base, _ in (*first, *second)] == [row.based_ms for row in rows]


def test_the_period_must_fit_twice_into_what_the_log_keeps():
    _, faults = Settings.read_with_faults({"HELIOGRAPH_CHECKPOINT_AFTER_S": "1296001"})
    assert [fault.partition(":")[0] for fault in faults] == ["HELIOGRAPH_CHECKPOINT_AFTER_S"]
