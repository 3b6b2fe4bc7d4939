"""However often a message is tried: its row stays bounded, and forgets nothing that may have reached Twilio."""

import msgspec
from hypothesis import example, settings
from hypothesis import given as cases
from hypothesis import strategies as st

from app.domain.model.attempt_retention import KEPT_ATTEMPTS, may_drop
from app.domain.model.contact import Contact, last_attempt_no
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Stage
from tests.support.given import START_MS, ContactLog, abandoned, doubtful, due, refused, report, requested, taken, turn

LONG_MS = 10_000_000_000
ASKED = requested(
    expires_ms=START_MS + LONG_MS,
    outcome_ms=START_MS + 2 * LONG_MS,
    retry_delays_ms=(1000,) * 30,
    resend_after_ms=1000,
)
RETRIED = [ErrorClass.THROTTLED, ErrorClass.TRANSIENT, ErrorClass.CONFIGURATION]
ANSWERS = {
    "abandoned": lambda n: [abandoned(n)],
    **{error.value: lambda n, error=error: [refused(error, n, 1)] for error in RETRIED},
    "fraud": lambda n: [refused(ErrorClass.FRAUD_BLOCK, n, 30450)],
    "doubt": lambda n: [doubtful(n)],
    "failed": lambda n: [
        taken(n, f"SM{n}"),
        report(DeliveryStatus.FAILED, n, f"SM{n}", 30034, ErrorClass.CONFIGURATION),
    ],
    "refused, but reported": lambda n: [
        refused(ErrorClass.TRANSIENT, n, 1),
        report(DeliveryStatus.FAILED, n, f"SM{n}", 30034, ErrorClass.CONFIGURATION),
    ],
}
# Runs of the same answer, so that histories are long; the first ones are what goes on for ever in life.
RUNS = st.lists(st.tuples(st.sampled_from([*["abandoned"] * 3, *ANSWERS]), st.integers(1, 12)), max_size=10)


@settings(max_examples=150, deadline=None)
@example([("doubt", 19), ("fraud", 2)])
@cases(RUNS)
def test_a_row_is_bounded_keeps_what_may_have_arrived_and_folds_again_to_the_same(runs):
    log, other = ContactLog().then(ASKED), ContactLog().then(ASKED)
    undroppable: set[int] = set()
    for answer in [ANSWERS[word] for word, times in runs for _ in range(times)]:
        if log.message().stage is Stage.RETRYING:
            step(log, other, due(DueKind.RETRY, log.message().due_ms))
        if log.message().stage is not Stage.WAITING:
            break
        n = last_attempt_no(log.message()) + 1
        for record in (turn(n), *answer(n)):
            step(log, other, record)
        message = log.message()
        numbers = [attempt.n for attempt in message.attempts]
        undroppable |= {attempt.n for attempt in message.attempts if not may_drop(attempt)}
        assert numbers == sorted(set(numbers)) and numbers[-1] == n
        assert undroppable <= set(numbers)
        assert len(numbers) <= KEPT_ATTEMPTS and len(numbers) + message.attempts_dropped == n
    assert msgspec.json.encode(log.contact) == msgspec.json.encode(other.contact)


def step(log: ContactLog, other: ContactLog, record) -> None:
    """Fold it; in the other log into a row that was written and read again, as by the next owner, and twice."""
    for each in (log, other):
        each.now_ms = max(each.now_ms, getattr(record, "due_ms", 0))
    log.then(record)
    other.contact = msgspec.json.decode(msgspec.json.encode(other.contact), type=Contact)
    other.then(record)
