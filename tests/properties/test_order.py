"""Order per person as a property: whatever happens and wherever the worker dies, calls leave in the order of the log."""

import msgspec
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.domain.model.contact import Contact, Message
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Intent, Priority, Stage
from app.domain.rules.schedule import dues
from app.records.lanes import PermitRequested
from app.streams.agents.contact_fold import CONTACTS, MESSAGES
from tests.support.crashing import TOPICS, CrashingWorker
from tests.support.given import abandoned, cancel, doubtful, due, refused, report, requested, taken, text, turn

KEYS = tuple(f"{n:020x}" for n in range(8))
LANES, PRIORITIES = ("main", "other"), (Priority.URGENT, Priority.NORMAL)


class Person:
    """One contact of a worker that may die, and lanes that grant what it asks for in any order."""

    def __init__(self) -> None:
        self.worker = CrashingWorker()
        self.asked: list[tuple[str, int]] = []
        self.opened = 0

    def request(self, lane: str, priority: Priority, scheduled: bool) -> None:
        if self.opened < len(KEYS):
            start_ms = self.worker.now_ms + 60_000 if scheduled else 0
            key, self.opened = KEYS[self.opened], self.opened + 1
            self.worker.write(requested(key, lane=lane, priority=priority, start_ms=start_ms))

    def grant(self, pick: int) -> None:
        if self.asked:
            key, n = self.asked[pick % len(self.asked)]
            self.worker.write(turn(n, key))

    def answer(self, pick: int, kind: str) -> None:
        flying = [m for m in self.messages() if m.stage is Stage.FLYING]
        if not flying:
            return
        message = flying[pick % len(flying)]
        key, n = message.id.partition("-")[2], message.attempts[-1].n
        self.worker.write(
            {
                "taken": taken(n, f"SM{key[-1]}{n}", key),
                "refused": refused(ErrorClass.TRANSIENT, n, 20500, key),
                "in doubt": doubtful(n, key),
                "abandoned": replace(abandoned(n), message_id=message.id),
                "reported": report(DeliveryStatus.SENT, n, f"SM{key[-1]}{n}", key=key),
                "failed": report(DeliveryStatus.UNDELIVERED, n, f"SM{key[-1]}{n}", 30017, ErrorClass.TRANSIENT, key),
            }[kind]
        )

    def fire(self, pick: int) -> None:
        armed = [(m, *one) for m in self.messages() for one in dues(m) if one[0] in (DueKind.DOUBT, DueKind.RETRY)]
        armed += [(m, *one) for m in self.messages() for one in dues(m) if one[0] is DueKind.START]
        if armed:
            message, kind, at_ms = armed[pick % len(armed)]
            self.worker.now_ms = max(self.worker.now_ms, at_ms)
            self.worker.write(due(kind, at_ms, message.id.partition("-")[2]))

    def end(self, pick: int, stop: bool) -> None:
        self.worker.write(text(Intent.STOP) if stop else cancel(KEYS[pick]))

    def cycle(self, dies_after: int | None) -> None:
        for output in self.worker.cycle(dies_after):
            if output.topic == TOPICS.lanes and b'"lane.asked.v1"' in output.value:
                ask = msgspec.json.decode(output.value, type=PermitRequested)
                self.asked.append((ask.message_id.partition("-")[2], ask.attempt))

    def messages(self) -> list[Message]:
        rows = {m.id: m for m in (msgspec.json.decode(r, type=Message) for r in self.worker.rows[MESSAGES].values())}
        for row in self.worker.rows[CONTACTS].values():
            rows |= {m.id: m for m in msgspec.json.decode(row, type=Contact).messages.values()}
        return sorted(rows.values(), key=lambda message: message.logged_offset)


numbers = st.integers(0, 7)
kinds = st.sampled_from(["taken", "taken", "refused", "in doubt", "abandoned", "reported", "failed"])
steps = st.one_of(
    st.tuples(
        st.just("request"), st.sampled_from(LANES), st.sampled_from(PRIORITIES), st.sampled_from([False] * 3 + [True])
    ),
    st.tuples(st.just("grant"), numbers),
    st.tuples(st.just("grant"), numbers),
    st.tuples(st.just("answer"), numbers, kinds),
    st.tuples(st.just("fire"), numbers),
    st.tuples(st.just("cycle"), st.none()),
    st.tuples(st.just("cycle"), st.one_of(st.none(), st.integers(0, 3))),
)


def played(story: list[tuple[object, ...]]) -> Person:
    person = Person()
    for what, *given in story:
        getattr(person, what)(*given)
    person.cycle(None)
    return person


def first_claims(person: Person) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Of each order the messages that were claimed at once: place of the request, place of the first claim."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for message in person.messages():
        policy = message.policy
        if policy is not None and policy.start_ms == 0 and message.attempts:
            place = (message.logged_offset, message.attempts[0].claimed_offset)
            found.setdefault((policy.lane, policy.priority), []).append(place)
    return found


@settings(max_examples=200, deadline=None)
@cases(st.lists(steps, min_size=10, max_size=60))
def test_calls_of_one_lane_and_priority_leave_in_the_order_of_the_log(story):
    for places in first_claims(played(story)).values():
        claims = [claimed for _, claimed in places]
        assert claims == sorted(claims)


@settings(max_examples=150, deadline=None)
@cases(
    st.lists(st.one_of(steps, st.tuples(st.just("end"), numbers, st.sampled_from([False] * 9 + [True]))), max_size=50)
)
def test_nothing_stalls_whatever_happened_before(story):
    person = played(story)
    for _ in range(6 * len(KEYS)):
        for n in range(len(person.asked)):
            person.grant(n)
        person.cycle(None)
        for n in range(len(KEYS)):
            person.answer(n, "taken")
        person.cycle(None)
        person.fire(0)
        person.cycle(None)
    assert [m.stage for m in person.messages() if m.stage not in (Stage.FLYING, Stage.FINAL)] == []
