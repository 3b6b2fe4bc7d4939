"""When a further attempt may follow one that failed, by the class of its error; P2 rests on what is allowed here.

A report of a failure is final: what it names was not delivered. The classes here allow another attempt; every failure
that an attempt has met must allow it, so that no order of reports decides. Waits of ours have jitter
(`schedule.with_jitter`); those that Twilio names (Retry-After, a block, a time of day) have none.
"""

from app.domain.model.attempt_retention import is_full
from app.domain.model.contact import Attempt, Message, StatusStep, last_attempt_no, may_arrive
from app.domain.model.policy import Policy
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, ErrorClass
from app.domain.rules.schedule import backoff_ms, with_jitter

FAILURES = (DeliveryStatus.CANCELED, DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED)
# By the policy's retry delays (Twilio 30001, 30017, 30022, 30036, 30047).
DELAYED = frozenset({ErrorClass.TRANSIENT, ErrorClass.THROTTLED, ErrorClass.EXPIRED})
# Until the time that the door stamped: midnight in California (30023, 30027), the morning at their place (30610).
HELD = frozenset({ErrorClass.DAILY_CAP, ErrorClass.QUIET_HOURS})
# Twilio blocks a prefix for 15 to 30 minutes (30450).
FRAUD_MS = 1_800_000
# A stopped lane grants no turn anyway, so a message asks it again seldom.
STOPPED_MS, LONGEST_STOPPED_MS = 60_000, 1_800_000
THROTTLED_MS = 1_000


def after_failure(message: Message, attempt: Attempt) -> int | None:
    """When another attempt may follow its last one, ms since the epoch; None: what is learnt of it allows none."""
    assert message.policy is not None, "only an accepted request has attempts"
    if is_full(message):
        return None
    waits = [_after(message, message.policy, attempt, step) for step in attempt.learnt if step.progress in FAILURES]
    known = [wait for wait in waits if wait is not None]
    return max(known) if known and len(known) == len(waits) else None


def _after(message: Message, policy: Policy, attempt: Attempt, step: StatusStep) -> int | None:
    error, delays = step.error, policy.retry_delays_ms
    if error in DELAYED:
        if attempt.n > len(delays):
            return None
        return step.at_ms + with_jitter(delays[attempt.n - 1], message.id, attempt.n)
    if error in HELD:
        return max(step.at_ms, attempt.hold_ms) if attempt.hold_ms else None
    wait = _wait(message, attempt, error)
    return None if wait is None else step.at_ms + wait


def _wait(message: Message, attempt: Attempt, error: ErrorClass | None) -> int | None:
    """Of the classes that answers and reports share, in ms."""
    if error is ErrorClass.CONFIGURATION:
        met = _met(message, attempt, error) + message.attempts_dropped
        return with_jitter(min(STOPPED_MS << min(met, 16), LONGEST_STOPPED_MS), message.id, attempt.n)
    if error is ErrorClass.FRAUD_BLOCK:
        return None if _met(message, attempt, error) else FRAUD_MS
    return 0 if error is ErrorClass.MMS_IMPOSSIBLE and drops_media(message, attempt) else None


def _met(message: Message, attempt: Attempt, error: ErrorClass) -> int:
    """How often attempts before met it, of those that are kept."""
    return sum(earlier.error is error for earlier in message.attempts if earlier.n < attempt.n)


def drops_media(message: Message, attempt: Attempt) -> bool:
    """Whether a text with a link can stand for the media that this attempt had, and nothing else is on its way."""
    others = any(may_arrive(other) for other in message.attempts if other.n != attempt.n)
    return bool(message.policy and message.policy.fallback_segments) and not attempt.plain and not others


def after_refusal(message: Message, attempt: Attempt, error: ErrorClass | None, hints: tuple[int, int]) -> int | None:
    """The same after an answer that left nothing at Twilio. `hints`: Retry-After in ms, and what the door stamped."""
    now, (retry_after_ms, hold_ms) = attempt.answered_ms, hints
    if is_full(message):
        return None
    if error in (ErrorClass.THROTTLED, ErrorClass.TRANSIENT):
        refusals = (
            sum(earlier.answer is CreateResult.REFUSED for earlier in message.attempts) + message.attempts_dropped
        )
        if not retry_after_ms:
            return now + with_jitter(backoff_ms(refusals), message.id, attempt.n)
        return now + (max(retry_after_ms, THROTTLED_MS) if error is ErrorClass.THROTTLED else retry_after_ms)
    if error in HELD:
        return hold_ms if now < hold_ms < _expires_ms(message) else None
    wait = _wait(message, attempt, error)
    return None if wait is None else now + wait


def after_abandonment(message: Message, now_ms: int) -> int | None:
    """When the lane is asked for another turn after the last attempt was abandoned, in ms since the epoch.

    None: at once, after the first one in a row, as a worker that starts or stops abandons what it cannot call in time.
    Whatever else makes claims be abandoned must not make a loop: each further one in a row waits, 1 s to 60 s.
    """
    in_a_row = 0
    for attempt in reversed(message.attempts):
        if attempt.answer is not CreateResult.ABANDONED:
            break
        in_a_row += 1
    if in_a_row < 2:
        return None
    return now_ms + with_jitter(backoff_ms(in_a_row - 1), message.id, last_attempt_no(message))


def _expires_ms(message: Message) -> int:
    return message.policy.expires_ms if message.policy is not None else 0
