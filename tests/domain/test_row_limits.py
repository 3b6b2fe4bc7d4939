"""What a contact's row may hold, as sentences: each collection at its limit and one above."""

from bisect import bisect_left

import msgspec
import pytest
from msgspec.structs import replace

from app.domain.contact import Failure, Learnt
from app.domain.events import AttemptProgressed, CancelKept, InputRefused, LookMade, MessageArchived, OutcomeGiven
from app.domain.inputs import Checkpointed, Requested
from app.domain.limits import (
    CANCEL_KEPT_MS,
    FAILURES_KEPT_MS,
    GROWTH_BYTES,
    KEPT_FAILURES,
    MOST_CANCELS_AHEAD,
    MOST_LISTED,
    MOST_STEPS,
    REQUEST_BYTES,
    ROW_BYTES,
    row_bytes,
)
from app.domain.words import DueKind, ErrorClass, Progress, Reason, Word
from app.records.topics import Topics
from tests.support.given import (
    BASE,
    KEY,
    Log,
    cancel,
    doubtful,
    due,
    given,
    listed,
    report,
    requested,
    seen,
    taken,
    turn,
)


def key(n: int) -> str:
    return f"{n:020x}"


def test_a_cancel_kept_ahead_goes_with_the_next_one_after_24_hours():
    log = given(cancel(key(1)), cancel(key(2)))
    log.now_ms += CANCEL_KEPT_MS - 2000
    assert list(log.then(cancel(key(3))).contact.canceled_ahead) == [key(1), key(2), key(3)]
    assert list(log.then(cancel(key(1)), cancel(key(4))).contact.canceled_ahead) == [key(3), key(1), key(4)]


def test_of_1000_cancels_kept_ahead_all_hold_and_one_more_is_refused():
    """What `notify.updates` said is kept is kept; whoever invents ids is told."""
    log = Log()
    for n in range(MOST_CANCELS_AHEAD):
        log.then(cancel(key(n)), after_ms=10)
    assert log.said(CancelKept) and len(log.contact.canceled_ahead) == 1000
    log.then(cancel(key(2000)))
    assert [event.field for event in log.said(InputRefused)] == ["message_id"]
    assert log.then(cancel(key(5))).said(CancelKept), "one that is kept may be repeated"
    assert log.then(requested(key(0))).message(key(0)).word is Word.CANCELED
    assert log.then(cancel(key(2000))).said(CancelKept), "a request made room"
    log.now_ms += CANCEL_KEPT_MS
    assert list(log.then(cancel(key(3000))).contact.canceled_ahead) == [key(3000)]
    assert row_bytes(log.contact) < 40 * MOST_CANCELS_AHEAD


def test_of_the_steps_of_an_attempt_so_many_are_kept_and_the_first_of_each_rank_and_the_worst_among_them():
    log = given(requested(), turn(), taken(), report(Progress.SENT))
    for code in range(30100, 30140):
        log.then(report(Progress.UNDELIVERED, code=code, error=ErrorClass.UNKNOWN))
        assert log.said(AttemptProgressed), "it is told all the same"
    attempt = log.then(report(Progress.FAILED, code=30008, error=ErrorClass.UNKNOWN)).message().attempts[0]
    assert len(attempt.learnt) == MOST_STEPS
    ranks = [Progress.ACCEPTED, Progress.SENT, Progress.UNDELIVERED, Progress.FAILED]
    assert list(dict.fromkeys(step.progress for step in attempt.learnt)) == ranks
    assert (attempt.progress, attempt.code) == (Progress.UNDELIVERED, 30100)
    assert any(step.code == 30100 for step in attempt.learnt)
    log.then(report(Progress.UNDELIVERED, code=30003, error=ErrorClass.NUMBER_UNREACHABLE), report(Progress.DELIVERED))
    attempt = log.message().attempts[0]
    assert (attempt.progress, attempt.code, log.message().word) == (Progress.DELIVERED, 30003, Word.DELIVERED)
    assert Learnt in map(type, attempt.learnt) and len(attempt.learnt) <= MOST_STEPS + 1


def test_failures_of_a_number_are_kept_for_30_days_and_20_at_most():
    log = given(*(step for n in range(25) for step in (requested(key(n)), turn(key=key(n)), taken(key=key(n)))))
    for n in range(25):
        log.then(
            report(Progress.UNDELIVERED, code=30003, error=ErrorClass.NUMBER_UNREACHABLE, key=key(n), invalid_after=99)
        )
    assert [type(f) for f in log.contact.number.failures] == [Failure] * KEPT_FAILURES
    log.now_ms += FAILURES_KEPT_MS
    log.then(requested(KEY, expires_ms=log.now_ms + 9_000_000), turn(), taken())
    log.then(report(Progress.UNDELIVERED, code=30003, error=ErrorClass.NUMBER_UNREACHABLE, invalid_after=99))
    assert [f.key for f in log.contact.number.failures] == [KEY]


@pytest.mark.parametrize(("count", "kept"), [(MOST_LISTED, MOST_LISTED), (MOST_LISTED + 1, 0)])
def test_more_texts_that_may_be_an_attempts_than_are_remembered_are_refused_together(count, kept):
    """To remember some of them would hide that they have rivals."""
    known = given(
        requested(), turn(), doubtful(), requested("b" * 20), turn(key="b" * 20), taken(sid="SM-b", key="b" * 20)
    )
    texts = [seen(f"SM{n}") for n in range(count)]
    known.then(listed(*texts, seen("SM-b", Progress.SENT)))
    assert len(known.contact.listed) == kept
    assert [event.field for event in known.said(InputRefused)] == ([] if kept else ["texts"])
    assert known.said(LookMade) and known.message("b" * 20).attempts[0].progress is Progress.SENT


def padded(n: int, size: int) -> Requested:
    """A request whose message has so many bytes of metadata."""
    return replace(requested(key(n), max_open=10_000), metadata={"pad": "x" * size})


def filled(size: int) -> Log:
    """A contact whose row has so many bytes, of open messages."""
    log = Log()
    while log.contact is None or row_bytes(log.contact) < size - 50_000:
        log.then(padded(log.offset + 1, 40_000))
    log.then(padded(log.offset + 1, 0))
    log.then(padded(log.offset + 1, 0))
    last = log.contact.messages[key(log.offset)]
    missing = size - row_bytes(log.contact)
    longer = replace(last, metadata={"pad": "x" * missing})
    log.contact = replace(log.contact, messages={**log.contact.messages, key(log.offset): longer})
    assert row_bytes(log.contact) == size
    return log


def copy(log: Log) -> Log:
    other = Log()
    other.contact, other.offset, other.now_ms = log.contact, log.offset, log.now_ms
    return other


def test_a_request_that_just_fits_is_taken_and_with_one_byte_more_it_is_rejected_with_a_reason_of_its_own():
    log = filled(1_000_000)
    longest = bisect_left(
        range(600_000), True, key=lambda pad: bool(copy(log).then(padded(999, pad)).said(OutcomeGiven))
    )
    fits, over = copy(log).then(padded(999, longest - 1)), copy(log).then(padded(999, longest))
    assert fits.message(key(999)).word is None and REQUEST_BYTES <= row_bytes(fits.contact) < REQUEST_BYTES + 100
    [told] = over.said(OutcomeGiven)
    assert (told.word, told.reason, told.field) == (Word.REJECTED, Reason.CONTACT_ROW_FULL, "to")
    assert over.said(MessageArchived) and over.contact.messages == log.contact.messages


def test_a_full_row_takes_requests_again_once_messages_have_left_it():
    log = filled(REQUEST_BYTES)
    assert log.then(padded(999, 0)).message(key(999)).reason is Reason.CONTACT_ROW_FULL
    first = log.message(key(0))
    log.then(due(DueKind.EXPIRE, first.policy.expires_ms, key(0)))
    final = log.message(key(0))
    log.then(due(DueKind.ARCHIVE, final.final_ms + final.archive_after_ms, key(0)))
    late = replace(requested(key(1000), max_open=10_000, expires_ms=log.now_ms + 60_000), metadata={})
    assert log.then(late).message(key(1000)).word is None


def test_the_topics_take_the_longest_row_and_the_checkpoint_that_carries_it():
    declared = Topics("", "").all
    changelog, contacts = (
        int(declared[n].config["max.message.bytes"]) for n in ("<app>-contacts-changelog", "contacts")
    )
    around = msgspec.json.encode(
        Checkpointed(**{**BASE, "tenant": "t" * 200, "id": "i" * 60}, row=given(cancel()).contact)
    )
    assert REQUEST_BYTES < GROWTH_BYTES < ROW_BYTES < changelog - 1_000
    assert ROW_BYTES + len(around) < contacts - 1_000
