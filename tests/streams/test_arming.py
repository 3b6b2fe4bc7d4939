"""Timers of a partition that became ours, armed bit by bit while its rows go on changing."""

import pytest
from hypothesis import given as cases
from hypothesis import strategies as st
from msgspec.structs import replace

from app.domain.model.contact import Message
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Stage
from app.streams.timers.checkpoints import PartitionCheckpoints
from app.streams.timers.recovery import TimerRecovery
from app.streams.timers.timers import Entry, PartitionTimers
from tests.support.given import CONTACT, KEY, START_MS, ContactLog, given, report, requested, taken, turn

NOW, FAR_S = (START_MS + 1000, 5000.0), 1e9
KEYS = tuple(f"{n:020x}" for n in range(4))


class Owned:
    """A partition that became ours with these rows, and its durable changes since."""

    def __init__(self, logs: dict[str, ContactLog]) -> None:
        self.timers, self.checkpoints = PartitionTimers(), PartitionCheckpoints(1000)
        self.seen, self.odd = list[str](), list[str]()
        contacts = [(cid.encode(), log.contact) for cid, log in logs.items()]
        messages = [(m.id.encode(), m) for log in logs.values() for m in log.rows.values()]
        self.arming = TimerRecovery(
            self.timers,
            self.checkpoints,
            lambda m: self.seen.append(m.id),
            lambda *_: None,
            contacts,
            messages,
            self.note,
        )

    def note(self, key: str, error: Exception) -> None:
        self.odd.append(key)

    def change(self, message: Message | None, message_id: str) -> None:
        self.arming.fresh.add(message_id)
        if message is None:
            self.timers.disarm(message_id)
        else:
            self.timers.arm(message, NOW)

    def finish(self, count: int = 1) -> set[Entry]:
        while self.arming.some(count, NOW):
            pass
        return set(self.timers.due(FAR_S))


def people(steps: list[int]) -> dict[str, ContactLog]:
    """Contacts each with one message, so far along."""
    life = (lambda key: turn(key=key), lambda key: taken(key=key), lambda key: report(DeliveryStatus.SENT, key=key))
    return {
        f"{CONTACT[:-1]}{n}": given(requested(KEYS[n]), *(step(KEYS[n]) for step in life[:far]))
        for n, far in enumerate(steps)
    }


def entries(log: ContactLog) -> set[Entry]:
    timers = PartitionTimers()
    for message in {**log.rows, **log.contact.messages}.values():
        timers.arm(message, NOW)
    return set(timers.due(FAR_S))


def delivered() -> tuple[ContactLog, Message]:
    log = given(requested(), turn(), taken(), report(DeliveryStatus.DELIVERED))
    return log, log.message()


def test_in_the_end_everything_is_armed_that_the_rows_say_is_due():
    logs = people([0, 1, 2, 3])
    owned = Owned(logs)
    assert owned.finish() == set().union(*(entries(log) for log in logs.values()))
    assert len(owned.checkpoints) == 4 and len(owned.seen) == 2


def test_a_message_in_its_own_row_is_armed_too():
    log, message = delivered()
    assert {entry[:2] for entry in Owned({CONTACT: log}).finish()} == {(message.id, DueKind.FORGET)}


@pytest.mark.parametrize("count", [1, 2])
def test_of_a_message_that_came_back_what_the_contacts_row_says_is_armed(count):
    failed = report(DeliveryStatus.UNDELIVERED, code=30017, error=ErrorClass.TRANSIENT)
    log = given(requested(), turn(), taken(), failed)
    assert log.rows[KEY].stage is Stage.FLYING and log.contact.messages[KEY].stage is Stage.RETRYING
    kinds = {entry[1] for entry in Owned({CONTACT: log}).finish(count)}
    assert kinds == {DueKind.RETRY, DueKind.EXPIRE}


def test_a_row_that_cannot_be_armed_keeps_no_other_from_its_timers():
    logs = people([1, 1])
    odd, sound = logs.values()
    [(key, message)] = odd.contact.messages.items()
    odd.contact = replace(odd.contact, messages={key: replace(message, attempts=())})
    owned = Owned(logs)
    assert owned.finish() == entries(sound) and owned.odd == [next(iter(logs))]


def test_what_was_dropped_meanwhile_is_not_armed_again():
    """Else it would come due every half minute for as long as the partition is ours."""
    log, message = delivered()
    owned = Owned({CONTACT: log})
    owned.change(None, message.id)
    assert owned.finish() == set()


def test_a_contact_with_a_younger_base_keeps_it():
    log = given(requested())
    owned = Owned({CONTACT: log})
    younger = replace(log.contact, based_ms=log.contact.based_ms + 500, based_offset=9)
    owned.arming.fresh.add(CONTACT)
    owned.checkpoints.arm(CONTACT, younger)
    owned.finish()
    ((contact_id, base, _),) = owned.checkpoints.due((START_MS * 2, FAR_S))
    assert (contact_id, base.offset, len(owned.checkpoints)) == (CONTACT, 9, 1)


@cases(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.data())
def test_whenever_a_row_changes_what_it_says_last_is_what_is_armed(steps, data):
    logs = people(steps)
    owned = Owned(logs)
    for n, log in enumerate(logs.values()):
        for _ in range(data.draw(st.integers(0, 2))):
            owned.arming.some(1, NOW)
        if data.draw(st.booleans()):
            log.then(report(DeliveryStatus.DELIVERED, key=KEYS[n]))
            owned.change(log.message(KEYS[n]), f"{CONTACT}-{KEYS[n]}")
    assert owned.finish() == set().union(*(entries(log) for log in logs.values()))
