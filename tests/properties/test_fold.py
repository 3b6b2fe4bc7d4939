"""P1, P2, P3, P5, P6 as properties of the fold."""

import msgspec
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from app.domain.model.contact import Contact, Message
from app.domain.model.effects import PermitRequest
from app.domain.model.events import AttemptClaimed, MessageOpened, OutcomeGiven, RequestConflicted
from app.domain.model.inputs import LogPosition
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, DueKind, ErrorClass, Intent, Proof, Stage
from app.domain.rules.schedule import dues
from tests.support.given import (
    KEY,
    START_MS,
    ContactLog,
    abandoned,
    cancel,
    doubtful,
    due,
    listed,
    pictured,
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

FAILED = (DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED)
# Of each class one, as the door stamps it: code, class, failures that make the number invalid, how long it is held.
FAILURES = [
    (21610, ErrorClass.OPTED_OUT, 0, 0),
    (30006, ErrorClass.NUMBER_INVALID, 1, 0),
    (30003, ErrorClass.NUMBER_UNREACHABLE, 5, 0),
    (30005, ErrorClass.NUMBER_UNREACHABLE, 3, 0),
    (21612, ErrorClass.SENDER_UNREACHABLE, 0, 0),
    (30011, ErrorClass.MMS_IMPOSSIBLE, 0, 0),
    (21617, ErrorClass.REQUEST, 0, 0),
    (30034, ErrorClass.CONFIGURATION, 0, 0),
    (30022, ErrorClass.THROTTLED, 0, 0),
    (30023, ErrorClass.DAILY_CAP, 0, START_MS + 1_800_000),
    (30027, ErrorClass.DAILY_CAP, 0, START_MS + 86_400_000),
    (30007, ErrorClass.FILTERED, 0, 0),
    (30017, ErrorClass.TRANSIENT, 0, 0),
    (30020, ErrorClass.AMBIGUOUS, 0, 0),
    (30450, ErrorClass.FRAUD_BLOCK, 0, 0),
    (30610, ErrorClass.QUIET_HOURS, 0, START_MS + 2_400_000),
    (30036, ErrorClass.EXPIRED, 0, 0),
    (39999, ErrorClass.UNKNOWN, 0, 0),
]


def reports(n: int = 1):
    """Made beforehand: to draw one costs one choice. Failures are many, so the others stand there oftener."""
    others = [report(p, n, f"SM{n}") for p in DeliveryStatus if p > DeliveryStatus.CLAIMED and p not in FAILED]
    failures = [
        report(progress, n, f"SM{n}", code, error, invalid_after=after, hold_until_ms=held)
        for progress in FAILED
        for code, error, after, held in FAILURES
    ]
    return st.sampled_from(others * 4 + failures)


def refusals(n: int = 1):
    return st.sampled_from(
        [refused(error, n, code, invalid_after=after, hold_until_ms=held) for code, error, after, held in FAILURES]
    )


TOLD = {n: (refusals(n), reports(n)) for n in (1, 2, 3)}


def asked():
    """With media and a link in place of them, or without; with retries, or without."""
    return st.builds(
        pictured, fallback_segments=st.sampled_from([0, 2]), retry_delays_ms=st.sampled_from([(), (1000,)])
    )


def state(log: ContactLog) -> tuple[object, ...]:
    """Also whether the person may be texted, and this text to them."""
    message, contact = log.message(), log.contact
    attempts = [(a.progress, a.code, a.error, a.sid) for a in message.attempts]
    plain = message.plain and message.word is None
    return message.word, attempts, plain, contact.consent.opted_out, contact.number.why, contact.filtered


@settings(max_examples=200, deadline=None)
@cases(asked(), st.lists(reports(), min_size=1, max_size=6), st.data())
def test_p5_shuffled_and_repeated_reports_end_in_the_same_place(asking, history, data):
    shuffled = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history), max_size=4))))
    one = ContactLog().then(asking, turn(), taken(), *history)
    other = ContactLog().then(asking, turn(), taken(), *shuffled)
    assert state(one) == state(other)


@settings(max_examples=200, deadline=None)
@cases(asked(), st.lists(reports(), min_size=1, max_size=4), st.integers(0, 4))
def test_p5_the_answer_may_come_at_any_place_among_the_reports(asking, history, at):
    at = min(at, len(history))
    one = ContactLog().then(asking, turn(), taken(), *history)
    other = ContactLog().then(asking, turn(), *history[:at], taken(), *history[at:])
    assert state(one) == state(other)


def texts():
    """Texts on Twilio's list: of attempts that are known, and of nobody's."""
    sids, news = (
        st.sampled_from(["SM1", "SM2", "SM3"]),
        st.sampled_from([p for p in DeliveryStatus if p > DeliveryStatus.CLAIMED]),
    )
    return st.builds(seen, sids, news, created_ms=st.integers(START_MS, START_MS + 60_000))


# Of a message that Twilio holds until its time.
HELD = [
    requested("c" * 20, handed_over=True, start_ms=START_MS + 600_000),
    turn(key="c" * 20),
    taken(1, "SM9", "c" * 20),
    cancel("c" * 20),
    *(recalled(canceled, 1, "SM9", "c" * 20) for canceled in (True, False)),
]


@st.composite
def inputs(draw):
    n = draw(st.integers(1, 3))
    return draw(
        st.sampled_from(
            [
                requested(),
                pictured(),
                requested("b" * 20),
                requested(fingerprint="other"),
                turn(n, probe=draw(st.sampled_from([None, None, *Proof]))),
                taken(n, f"SM{n}"),
                doubtful(n),
                abandoned(n),
                *map(draw, TOLD[n]),
                report(DeliveryStatus.FAILED, n, f"SM{n}", 30017, ErrorClass.TRANSIENT),
                text(draw(st.sampled_from(list(Intent))), START_MS + draw(st.integers(0, 10_000)), f"IN{n}"),
                cancel(draw(st.sampled_from([KEY, "b" * 20]))),
                rejected(draw(st.sampled_from(["e" * 20, "f" * 20]))),
                draw(st.sampled_from(HELD)),
                listed(*draw(st.lists(texts(), max_size=2)), look_ms=START_MS + draw(st.integers(0, 4)) * 900_000),
            ]
        )
    )


def fire(log: ContactLog, pick: int) -> None:
    """One of the timers that are armed now, as the owner would send it."""
    log.events, log.effects, log.last = [], [], None
    messages = [*log.contact.messages.values(), *log.rows.values()]
    armed = [(m, kind, at) for m in messages for kind, at in dues(m) if kind is not DueKind.FORGET]
    if armed:
        message, kind, at = armed[pick % len(armed)]
        log.now_ms = max(log.now_ms, at)
        log.then(due(kind, at, message.id.partition("-")[2]))


def unresolved(message: Message) -> int:
    """Attempts that may be at Twilio with nothing proved against them."""
    disproved = (CreateResult.REFUSED, CreateResult.ABANDONED)
    return sum(
        a.answer not in disproved and a.progress not in (DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED)
        for a in message.attempts
    )


@settings(max_examples=400, deadline=None)
@cases(asked(), st.lists(st.one_of(inputs(), st.integers(0, 9)), max_size=25))
def test_p2_a_claim_begins_only_when_nothing_earlier_may_be_on_its_way(asking, history):
    log = ContactLog().then(asking)
    for step in history:
        before = log.contact
        fire(log, step) if isinstance(step, int) else log.then(step)
        for event in log.events:
            if isinstance(event, AttemptClaimed):
                assert unresolved(before.messages[event.key]) == 0


# What a person who texted STOP may be asked for all the same.
ANOTHER = st.sampled_from(
    [requested("b" * 20), turn(1, "b" * 20), text(Intent.STOP), text(Intent.START, START_MS + 9000)]
)


@settings(max_examples=400, deadline=None)
@cases(asked(), st.lists(st.one_of(ANOTHER, inputs(), st.integers(0, 9)), max_size=25))
def test_p3_no_claim_begins_while_the_person_is_opted_out(asking, history):
    log = ContactLog().then(asking)
    for step in history:
        before = log.contact
        fire(log, step) if isinstance(step, int) else log.then(step)
        assert not (before.consent.opted_out and log.said(AttemptClaimed))


@settings(max_examples=200, deadline=None)
@cases(asked(), st.lists(st.one_of(inputs(), st.integers(0, 9)), max_size=12))
def test_p2_the_same_request_again_opens_nothing_asks_for_nothing_and_is_no_conflict(asking, history):
    log = ContactLog().then(asking)
    for step in history:
        fire(log, step) if isinstance(step, int) else log.then(step)
        log.then(asking)
        assert not [event for event in log.events if isinstance(event, MessageOpened | RequestConflicted)]
        assert not [effect for effect in log.effects if isinstance(effect, PermitRequest)]


@settings(max_examples=300, deadline=None)
@cases(asked(), st.lists(st.one_of(inputs(), st.integers(0, 9)), max_size=25))
def test_p1_every_message_ends_with_one_first_outcome_once_its_timers_fired(asking, history):
    log = ContactLog().then(asking)
    firsts: dict[str, int] = {}

    def count() -> None:
        for event in log.events:
            if isinstance(event, OutcomeGiven) and event.revision == 1:
                firsts[event.key] = firsts.get(event.key, 0) + 1

    for step in history:
        fire(log, step) if isinstance(step, int) else log.then(step)
        count()
    for _ in range(60):
        still = [m for m in (*log.contact.messages.values(), *log.rows.values()) if m.stage is not Stage.FINAL]
        if not still:
            break
        kind, at = dues(still[0])[-1]
        log.now_ms = max(log.now_ms, at)
        log.then(due(kind, at, still[0].id.partition("-")[2]))
        count()
    keys = {*log.contact.messages, *log.rows}
    assert all(m.stage is Stage.FINAL for m in (*log.contact.messages.values(), *log.rows.values()))
    assert all(firsts.get(key, 0) <= 1 for key in firsts)
    assert {key for key in keys if key not in firsts} == set()


@settings(max_examples=200, deadline=None)
@cases(st.lists(inputs(), min_size=1, max_size=20))
def test_p6_folding_again_gives_the_same_bytes_and_a_redelivery_changes_nothing(history):
    one, other = ContactLog().then(*history), ContactLog()
    for offset, record in enumerate(history):
        place = LogPosition(0, offset, START_MS + 1000 * (offset + 1))
        other.fold(record, place)
        kept = msgspec.json.encode(other.contact)
        other.fold(record, place)
        assert msgspec.json.encode(other.contact) == kept
        other.contact = msgspec.json.decode(kept, type=Contact | None)
    assert msgspec.json.encode(other.contact) == msgspec.json.encode(one.contact)


@settings(max_examples=200, deadline=None)
@cases(
    st.lists(st.tuples(st.sampled_from([Intent.STOP, Intent.START]), st.integers(0, 20_000)), min_size=1, max_size=6),
    st.data(),
)
def test_p3_stop_and_start_end_the_same_in_any_order_of_arrival(texts, data):
    shuffled = data.draw(st.permutations(texts))
    ends = [
        ContactLog().then(*(text(intent, START_MS + at, f"IN{at}") for intent, at in order)).contact.consent.opted_out
        for order in (texts, shuffled)
    ]
    assert ends[0] == ends[1]
