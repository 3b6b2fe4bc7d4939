"""A contact with as much as may be active, driven further by whatever may come: its row stays within its limits."""

from functools import cache

from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.domain.model.contact import Message, last_attempt_no
from app.domain.model.row_limits import ACTIVE_BYTES, GROWTH_BYTES, MOST_CANCELS_AHEAD, content_bytes, row_bytes
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Stage
from tests.support.given import ContactLog, cancel, doubtful, due, listed, refused, report, requested, seen, turn

MOST = 200
KEYS = tuple(f"{n:020x}" for n in range(MOST))
# What a producer may name and choose, as long as it may be.
LONG = {"fingerprint": "f" * 64, "traceparent": "t" * 55}


@cache
def full() -> ContactLog:
    """200 active messages with 256 kB of content, and as many cancels of unknown messages as are kept."""
    log, short = ContactLog(), replace(requested(), **LONG, sealed_caller_fields="")
    pad = ACTIVE_BYTES // MOST - content_bytes(ContactLog().then(short).message())
    for key in KEYS:
        asked = requested(key, expires_ms=log.now_ms + 90_000_000, retry_delays_ms=(1000,) * 3)
        log.then(replace(asked, **LONG, sealed_caller_fields="x" * pad), after_ms=1)
    for n in range(MOST_CANCELS_AHEAD):
        log.then(cancel(f"f{n:019x}"), after_ms=1)
    assert len(log.contact.messages) == MOST and len(log.contact.canceled_ahead) == MOST_CANCELS_AHEAD
    return log


def copy(log: ContactLog) -> ContactLog:
    other = ContactLog()
    other.contact, other.rows, other.offset, other.now_ms = log.contact, dict(log.rows), log.offset, log.now_ms
    return other


def fate(log: ContactLog, key: str, kind: str) -> None:
    """One more attempt of the message, if it may have one, and what becomes of it."""
    message: Message = log.message(key)
    if message.stage is Stage.RETRYING:
        log.then(due(DueKind.RETRY, message.due_ms, key), after_ms=1)
    n = last_attempt_no(message) + 1
    log.then(turn(n, key), after_ms=1)
    told = {
        "refused": [refused(ErrorClass.TRANSIENT, n, 20500, key)],
        "no sender": [refused(ErrorClass.CONFIGURATION, n, 21606, key)],
        "in doubt": [doubtful(n, key)],
        "failed": [
            report(progress, n, f"SM{key}{n:012}", code, error, key)
            for progress, code, error in (
                (DeliveryStatus.QUEUED, None, None),
                (DeliveryStatus.SENT, None, None),
                (DeliveryStatus.UNDELIVERED, 30017, ErrorClass.TRANSIENT),
            )
        ],
        "cannot deliver": [
            report(DeliveryStatus.FAILED, n, f"SM{key}{n:012}", 30034, ErrorClass.CONFIGURATION, key),
        ],
    }
    log.then(*told[kind], after_ms=1)


kinds = st.sampled_from(["refused", "no sender", "in doubt", "failed", "cannot deliver"])


@settings(max_examples=3, deadline=None)
@cases(st.lists(kinds, min_size=1, max_size=4))
def test_whatever_becomes_of_200_active_messages_their_contacts_row_stays_within_its_limit(story):
    log = copy(full())
    for kind in story:
        for key in KEYS:
            fate(log, key, kind)
        log.then(listed(*(seen(f"SM-x{n}") for n in range(9)), keys=KEYS[:9]))
        assert row_bytes(log.contact) <= GROWTH_BYTES
        assert len(log.contact.messages) <= MOST


def test_the_longest_row_that_attempts_without_end_can_make_is_within_the_limit_by_a_quarter():
    log = copy(full())
    for n in range(24):
        log.now_ms += 2_000_000
        for key in KEYS:
            fate(log, key, "failed" if n < 3 else "no sender")
    assert GROWTH_BYTES / 2 < row_bytes(log.contact) < GROWTH_BYTES * 3 / 4
