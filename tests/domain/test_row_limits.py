"""What a contact's row may hold, as sentences: each collection at its limit and one above."""

import msgspec
import pytest
from msgspec.structs import replace

from app.domain.model.contact import Failure, StatusStep
from app.domain.model.events import AttemptProgressed, CancelKept, InputRefused, OutcomeGiven, ReconciliationMade
from app.domain.model.inputs import CheckpointWritten, MessageRequested
from app.domain.model.row_limits import (
    ACTIVE_BYTES,
    CANCEL_KEPT_MS,
    FAILURES_KEPT_MS,
    GROWTH_BYTES,
    KEPT_FAILURES,
    MOST_CANCELS_AHEAD,
    MOST_DEPARTED,
    MOST_LISTED,
    MOST_STEPS,
    ROW_BYTES,
    content_bytes,
    row_bytes,
)
from app.domain.model.vocabulary import Category, DeliveryStatus, ErrorClass, OutcomeWord, Reason, Stage
from app.records.topics import Topics
from tests.support.given import (
    BASE,
    KEY,
    START_MS,
    ContactLog,
    cancel,
    doubtful,
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
    log = ContactLog()
    for n in range(MOST_CANCELS_AHEAD):
        log.then(cancel(key(n)), after_ms=10)
    assert log.said(CancelKept) and len(log.contact.canceled_ahead) == 1000
    log.then(cancel(key(2000)))
    assert [event.field for event in log.said(InputRefused)] == ["message_id"]
    assert log.then(cancel(key(5))).said(CancelKept), "one that is kept may be repeated"
    assert log.then(requested(key(0))).message(key(0)).word is OutcomeWord.CANCELED
    assert log.then(cancel(key(2000))).said(CancelKept), "a request made room"
    log.now_ms += CANCEL_KEPT_MS
    assert list(log.then(cancel(key(3000))).contact.canceled_ahead) == [key(3000)]
    assert row_bytes(log.contact) < 40 * MOST_CANCELS_AHEAD


def test_of_the_steps_of_an_attempt_so_many_are_kept_and_the_first_of_each_rank_and_the_worst_among_them():
    log = given(requested(), turn(), taken(), report(DeliveryStatus.SENT))
    for code in range(30100, 30140):
        log.then(report(DeliveryStatus.UNDELIVERED, code=code, error=ErrorClass.UNKNOWN))
        assert log.said(AttemptProgressed), "it is told all the same"
    attempt = log.then(report(DeliveryStatus.FAILED, code=30008, error=ErrorClass.UNKNOWN)).message().attempts[0]
    assert len(attempt.learnt) == MOST_STEPS
    ranks = [DeliveryStatus.ACCEPTED, DeliveryStatus.SENT, DeliveryStatus.UNDELIVERED, DeliveryStatus.FAILED]
    assert list(dict.fromkeys(step.progress for step in attempt.learnt)) == ranks
    assert (attempt.progress, attempt.code) == (DeliveryStatus.UNDELIVERED, 30100)
    assert any(step.code == 30100 for step in attempt.learnt)
    log.then(
        report(DeliveryStatus.UNDELIVERED, code=30003, error=ErrorClass.NUMBER_UNREACHABLE),
        report(DeliveryStatus.DELIVERED),
    )
    attempt = log.message().attempts[0]
    assert (attempt.progress, attempt.code, log.message().word) == (
        DeliveryStatus.DELIVERED,
        30003,
        OutcomeWord.DELIVERED,
    )
    assert StatusStep in map(type, attempt.learnt) and len(attempt.learnt) <= MOST_STEPS + 1


def test_failures_of_a_number_are_kept_for_30_days_and_20_at_most():
    log = given(*(step for n in range(25) for step in (requested(key(n)), turn(key=key(n)), taken(key=key(n)))))
    for n in range(25):
        log.then(
            report(
                DeliveryStatus.UNDELIVERED,
                code=30003,
                error=ErrorClass.NUMBER_UNREACHABLE,
                key=key(n),
                invalid_after=99,
            )
        )
    assert [type(f) for f in log.contact.number.failures] == [Failure] * KEPT_FAILURES
    log.now_ms += FAILURES_KEPT_MS
    log.then(requested(KEY, expires_ms=log.now_ms + 9_000_000), turn(), taken())
    log.then(report(DeliveryStatus.UNDELIVERED, code=30003, error=ErrorClass.NUMBER_UNREACHABLE, invalid_after=99))
    assert [f.key for f in log.contact.number.failures] == [KEY]


@pytest.mark.parametrize(("count", "kept"), [(MOST_LISTED, MOST_LISTED), (MOST_LISTED + 1, 0)])
def test_more_texts_that_may_be_an_attempts_than_are_remembered_are_refused_together(count, kept):
    """To remember some of them would hide that they have rivals."""
    known = given(
        requested(), turn(), doubtful(), requested("b" * 20), turn(key="b" * 20), taken(sid="SM-b", key="b" * 20)
    )
    texts = [seen(f"SM{n}") for n in range(count)]
    known.then(listed(*texts, seen("SM-b", DeliveryStatus.SENT), keys=(KEY, "b" * 20)))
    assert len(known.contact.listed) == kept
    assert [event.field for event in known.said(InputRefused)] == ([] if kept else ["texts"])
    assert known.said(ReconciliationMade) and known.message("b" * 20).attempts[0].progress is DeliveryStatus.SENT


def padded(n: int, size: int) -> MessageRequested:
    """A request that brings so many bytes of content."""
    short = replace(requested(key(n)), sealed_caller_fields="")
    return replace(short, sealed_caller_fields="x" * (size - content_bytes(given(short).message(key(n)))))


def filled(size: int) -> ContactLog:
    """A contact whose active messages have so much content."""
    log, count = ContactLog(), size // 16_000
    for n in range(count):
        log.then(padded(n, size // count + (size % count if n == 0 else 0)))
    assert sum(map(content_bytes, log.contact.messages.values())) == size
    return log


def test_a_request_that_just_fits_is_taken_and_with_one_byte_more_of_content_it_is_rejected():
    fits, over = filled(ACTIVE_BYTES - 500).then(padded(999, 500)), filled(ACTIVE_BYTES - 500).then(padded(999, 501))
    assert fits.message(key(999)).word is None
    [told] = over.said(OutcomeGiven)
    assert (told.word, told.reason, told.field) == (OutcomeWord.REJECTED, Reason.TOO_MANY_OPEN, "to")
    assert key(999) not in over.contact.messages


@pytest.mark.parametrize("name", ["sealed", "sealed_to", "sealed_caller_fields", "traceparent"])
def test_whatever_a_request_chooses_the_length_of_counts_as_it_stands_in_the_row(name):
    """No intake of ours writes a control character there; one that is there has six bytes in the row."""
    short, long = requested(key(0)), replace(requested(key(0)), **{name: "\x01" * 200})
    grown = row_bytes(given(long).contact) - row_bytes(given(short).contact)
    assert grown >= 1_100
    assert content_bytes(given(long).message(key(0))) - content_bytes(given(short).message(key(0))) >= 1_100


def test_content_makes_room_as_soon_as_its_message_is_accepted_or_over():
    log = filled(ACTIVE_BYTES)
    assert log.then(padded(997, 500)).message(key(997)).reason is Reason.TOO_MANY_OPEN
    log.then(turn(key=key(0)), taken(key=key(0)))
    assert log.then(padded(998, 500)).message(key(998)).word is None
    log.then(cancel(key(1)))
    assert log.then(padded(999, 500)).message(key(999)).word is None


def test_of_200_active_messages_the_last_is_taken_and_one_more_is_rejected():
    log = given(*(requested(key(n)) for n in range(200)))
    assert len(log.contact.messages) == 200 and log.message(key(199)).word is None
    assert log.then(requested(key(200))).message(key(200)).reason is Reason.TOO_MANY_OPEN
    assert log.then(cancel(key(0)), requested(key(201))).message(key(201)).word is None


def test_texts_that_wait_for_their_receipts_are_not_active_and_keep_out_no_code():
    """A carrier without receipts: none of 400 texts has one, and a code still leaves at once."""
    log = ContactLog()
    for n in range(400):
        log.then(requested(key(n)), turn(key=key(n)), taken(sid=f"SM{n}", key=key(n)), after_ms=10)
    assert log.contact.messages == {} and {row.stage for row in log.rows.values()} == {Stage.FLYING}
    log.then(requested(KEY, category=Category.OTP, expires_ms=log.now_ms + 300_000))
    assert log.message().stage is Stage.WAITING and log.message().word is None
    assert row_bytes(log.contact) < 8_000


def test_attempts_that_left_the_row_are_remembered_by_their_sid_while_they_may_be_confused_and_no_longer():
    log = given(requested(), turn(), taken())
    assert [departed.sid for departed in log.contact.departed] == ["SM1"]
    log.now_ms += 130_000
    log.then(requested("b" * 20), turn(key="b" * 20), taken(sid="SM2", key="b" * 20))
    assert [departed.sid for departed in log.contact.departed] == ["SM2"]


def test_of_more_attempts_than_are_remembered_the_oldest_go_and_nothing_is_inferred_that_may_be_theirs():
    doubt = (requested(KEY), turn(), doubtful())
    found = seen("SM-own", created_ms=START_MS + 2000)
    assert given(*doubt, listed(found)).message().attempts[0].sid == "SM-own"
    log = given(*doubt)
    for n in range(MOST_DEPARTED + 1):
        log.then(requested(key(n)), turn(key=key(n)), taken(sid=f"SM{n}", key=key(n)), after_ms=10)
    assert len(log.contact.departed) == MOST_DEPARTED
    assert log.then(listed(found)).message().attempts[0].sid == ""


def test_the_topics_take_the_longest_row_and_the_checkpoint_that_carries_it():
    declared = Topics("", "").all
    changelog, contacts = (
        int(declared[n].config["max.message.bytes"]) for n in ("<app>-contacts-changelog", "contacts")
    )
    around = msgspec.json.encode(
        CheckpointWritten(**{**BASE, "tenant": "t" * 200, "id": "i" * 60}, row=given(cancel()).contact)
    )
    assert 4 * ACTIVE_BYTES < GROWTH_BYTES < ROW_BYTES < changelog - 1_000
    assert ROW_BYTES + len(around) < contacts - 1_000
