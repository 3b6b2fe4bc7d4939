"""No record that can be decoded, however odd, is a fault: it is folded or refused, and nothing after it raises."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as cases
from hypothesis import strategies as st
from msgspec.structs import replace

from app import clock
from app.config.tenants import LaneConfig, Tenant
from app.domain.metrics.series import Lists
from app.domain.model.contact import Contact
from app.domain.model.inputs import CheckpointWritten, InputSkipped
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Intent, Stage
from app.records.lanes import LaneRecord
from app.records.numbers import NotifyNumberChanged
from app.records.seal import Sealer
from app.records.topics import Topics
from app.records.updates import NotifyUpdated
from app.streams.agents.caller_fields import without_key
from app.streams.agents.contacts import ContactsAgent
from app.streams.agents.dead_letters import DeadLetters
from app.streams.agents.lanes import LanesAgent
from app.streams.agents.metrics import MetricsAgent
from app.streams.agents.outputs import OutputBuilder
from app.streams.engine.agent import Agent, Input, UnreadableRecordError
from app.streams.engine.overlay import Overlay
from app.streams.monitoring.in_doubt import AttemptsInDoubt
from app.streams.monitoring.stopped_lanes import StoppedLanes
from app.streams.sending.create_request import CreateRequestBuilder
from tests.properties.test_fold import inputs
from tests.support.counted import update
from tests.support.crashing import MemoryStore
from tests.support.given import (
    BASE,
    CONTACT,
    HOUR_MS,
    MESSAGE,
    START_MS,
    cancel,
    doubtful,
    due,
    given,
    listed,
    recalled,
    refused,
    rejected,
    report,
    requested,
    seen,
    taken,
    text,
    turn,
)
from tests.support.odd import odd, with_extremes

OTHER_KEY = "b" * 20
TENANTS = {"acme": Tenant(name="acme", lanes={"main": LaneConfig(from_number="+15005550006", rate=1.0)})}
LETTERS = DeadLetters("dead", Sealer({"k1": b"s" * 32}))
TIMES = st.sampled_from([START_MS, 0, -1, 1 << 62, -(1 << 62)])
KEYS = st.sampled_from([CONTACT.encode()] * 6 + [b"", None, b"\xff\xfe", b"acme", b"k" * 5000])


def contacts() -> ContactsAgent:
    sealer = Sealer({"k1": b"s" * 32})
    return ContactsAgent(
        "contacts",
        OutputBuilder(Topics("", "app"), without_key),
        CreateRequestBuilder(TENANTS, sealer),
        LETTERS,
        "11111111",
        AttemptsInDoubt(),
        10**9,
    )


def lanes() -> LanesAgent:
    return LanesAgent("lanes", "contacts", TENANTS, "11111111", LETTERS, StoppedLanes())


def metrics() -> MetricsAgent:
    listed = Lists(lanes={"acme": {"main"}}, countries={"US"}, codes={"30003"})
    return MetricsAgent("notify.updates", "notify.metrics", listed, LETTERS)


class Owned:
    """A partition of an agent, with rows in memory."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.rows = agent, {spec.name: MemoryStore() for spec in agent.tables}
        self.next = 0
        self.assign()

    def assign(self) -> None:
        """As another worker that takes over."""
        self.agent.revoked(0)
        decoded: dict[str, Iterable[tuple[bytes, Any]]] = {
            spec.name: [(key, spec.decode(row)) for key, row in self.rows[spec.name].items()]
            for spec in self.agent.tables
        }
        self.agent.assigned(0, decoded)
        if isinstance(self.agent, ContactsAgent):
            while self.agent.arm_some(100):
                pass
            faults = self.agent._faults.counts
            assert faults.total() == faults["foreign_key"], faults

    def cycle(self, records: list[tuple[bytes | None, bytes, int]]) -> None:
        """One slice; only Unreadable may leave a fold."""
        overlay = Overlay(self.agent.tables, self.rows)
        for key, value, at_ms in records:
            record, self.next = Input(self.agent.topic, 0, self.next, at_ms, key, value, []), self.next + 1
            overlay.preload(self.agent.row_keys(record))
            overlay.begin()
            try:
                self.agent.fold(record, overlay)
            except UnreadableRecordError as refused:
                overlay.undo()
                overlay.emit(self.agent.dead_letter(record, refused.field, refused.rule))
        self.agent.tick(0, overlay)
        for table, rows in overlay.encoded():
            for key, row in rows:
                self.rows[table].pop(key, None)
                if row is not None:
                    self.rows[table][key] = row
        self.agent.settled(0, overlay.changed)


def any_of(union: Any) -> st.SearchStrategy[bytes]:
    return st.one_of([odd(struct) for struct in union.__args__]).map(msgspec.json.encode)


@pytest.fixture(autouse=True, scope="module")
def loop() -> Any:
    """Lanes set an alarm in it."""
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    yield made
    made.close()


# Without shrinking, which takes minutes over structs of so many fields.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
ODD = settings(
    max_examples=100,
    deadline=None,
    phases=PHASES,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@ODD
@cases(
    st.lists(
        st.lists(
            st.tuples(KEYS, st.one_of(any_of(ContactInput), inputs().map(msgspec.json.encode)), TIMES), max_size=4
        ),
        max_size=4,
    )
)
def test_inputs_of_contacts(slices):
    owned = Owned(contacts())
    owned.cycle([(CONTACT.encode(), msgspec.json.encode(requested()), START_MS)])
    for one in slices:
        owned.cycle(one)
        list(owned.agent.timers[0].due(1e12))
    owned.assign()


@ODD
@cases(st.lists(st.lists(st.tuples(KEYS, any_of(LaneRecord), TIMES), max_size=4), max_size=4))
def test_records_of_lanes(slices):
    async def run() -> None:
        owned = Owned(lanes())
        for one in slices:
            owned.cycle(one)
            owned.cycle([])
        owned.assign()
        owned.cycle([])

    asyncio.run(run())


@ODD
@cases(st.lists(st.lists(st.tuples(KEYS, any_of(NotifyUpdated | NotifyNumberChanged), TIMES), max_size=4), max_size=4))
def test_updates(slices):
    owned = Owned(metrics())
    for one in slices:
        owned.cycle(one)
    owned.assign()


def folded_with_extremes(make: Callable[[], Agent], history: list[Any], key: bytes) -> None:
    """Each number of each record of a history in turn is one that cannot be; ticks follow, and another owner."""
    records = [msgspec.to_builtins(record) for record in history]
    for at, record in enumerate(records):
        for extreme in with_extremes(record):
            owned = Owned(make())
            for one in (*records[:at], extreme, *records[at + 1 :]):
                owned.cycle([(key, msgspec.json.encode(one), START_MS)])
                owned.cycle([])
            owned.assign()
            owned.cycle([])


def test_no_number_of_an_input_of_contacts_is_a_fault():
    history = [
        rejected(OTHER_KEY),
        requested(doubt_after_ms=1000, resend_after_ms=1000, handed_over=True, start_ms=START_MS + HOUR_MS),
        turn(),
        refused(ErrorClass.THROTTLED, retry_after_ms=1000, code=20429),
        turn(2),
        doubtful(2),
        listed(seen("SM7", progress=DeliveryStatus.SENT)),
        report(
            DeliveryStatus.UNDELIVERED, 2, "SM2", 30003, ErrorClass.NUMBER_UNREACHABLE, invalid_after=3, hold_until_ms=5
        ),
        recalled(True, 2),
        text(Intent.STOP),
        due(DueKind.OUTCOME, START_MS),
        cancel(),
        InputSkipped(**BASE, offset=1),
    ]
    folded_with_extremes(contacts, history, CONTACT.encode())


def checkpointed(contact: Contact) -> CheckpointWritten:
    return CheckpointWritten(**BASE, row=contact)


def test_no_number_of_a_row_that_a_checkpoint_carries_is_a_fault():
    row = given(requested(), turn(), taken(), report(DeliveryStatus.SENT), text(Intent.STOP)).contact
    folded_with_extremes(contacts, [checkpointed(row), report(DeliveryStatus.DELIVERED), cancel()], CONTACT.encode())


def changed(contact: Contact, **given: Any) -> Contact:
    [(key, message)] = contact.messages.items()
    return replace(contact, messages={key: replace(message, **given)})


@pytest.mark.parametrize(
    "given_row",
    [
        {"attempts": ()},
        {"policy": None},
        {"stage": Stage.WAITING, "policy": None, "attempts": ()},
        {"id": f"{CONTACT}-another"},
        {"stage": Stage.FINAL, "policy": None},
    ],
    ids=str,
)
def test_a_row_that_cannot_be_is_not_taken_from_a_checkpoint(given_row):
    row = changed(given(requested(), turn()).contact, **given_row)
    owned = Owned(contacts())
    for record in (checkpointed(row), report(DeliveryStatus.DELIVERED), cancel()):
        owned.cycle([(CONTACT.encode(), msgspec.json.encode(record), START_MS)])
    owned.assign()
    assert b'"messages"' not in owned.rows["contacts"].get(CONTACT.encode(), b"")


def test_no_number_of_a_record_of_lanes_is_a_fault(monkeypatch):
    now = itertools.count(START_MS, 10_000)
    monkeypatch.setattr(clock, "now_ms", lambda: next(now))
    ask = {"tenant": "acme", "message_id": MESSAGE, "attempt": 1, "lane": "main", "priority": "normal"}
    slow = {"tenant": "acme", "lane": "main", "hold_ms": 1000, "code": 20429, "begun_ms": 1, "probe": True}
    history = [
        {"type": "lane.asked.v1", **ask, "segments": 2, "expires_ms": START_MS},
        {"type": "lane.asked.v1", **ask, "attempt": 2, "segments": 2, "expires_ms": START_MS},
        {"type": "lane.slowed.v1", **slow, "error": "throttled"},
        {"type": "lane.slowed.v1", **slow, "error": "configuration"},
        {"type": "lane.slowed.v1", **slow, "error": "unknown"},
        {"type": "lane.inbound_looked.v1", "tenant": "acme", "until_ms": START_MS},
        {
            "type": "lane.answered.v1",
            "tenant": "acme",
            "message_id": MESSAGE,
            "attempt": 1,
            "lane": "gone",
            "taken": True,
        },
    ]

    async def run() -> None:
        folded_with_extremes(lanes, history, b"acme")

    asyncio.run(run())


def test_no_number_of_an_update_is_a_fault():
    history = [
        update(1),
        update(2, event="outcome", state="delivered", revision=1, create_to_delivered_ms=5),
        update(3),
    ]
    folded_with_extremes(metrics, history, b"m")
