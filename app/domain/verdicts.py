"""What the attempts mean for their message: a retry, a doubt, a verdict."""

from app.domain.case import Case, key_of, reason_of
from app.domain.contact import Attempt, Message, may_arrive
from app.domain.events import AttemptDoubted, StageChanged
from app.domain.words import Category, ErrorClass, Progress, Reason, Stage, Word

FAILED = {
    Progress.CANCELED: Word.CANCELED,
    Progress.FAILED: Word.FAILED,
    Progress.UNDELIVERED: Word.UNDELIVERED,
}
# Failures after acceptance that permit another attempt (Twilio 30017, 30047, 30001, 30022).
RETRIED = {ErrorClass.TRANSIENT, ErrorClass.THROTTLED}


# Why a text that Twilio held was called back, and so what became of it.
RECALLED = {Reason.OPTED_OUT: Word.SUPPRESSED, Reason.CANCEL_REQUESTED: Word.CANCELED}


def doubt(case: Case, message: Message, n: int) -> None:
    """The attempt may have been sent. Never silently sent again: only where the tenant chose to, once per retry."""
    if message.attempts[n - 1].doubtful:
        return
    case.happen(AttemptDoubted(key=key_of(message.id), n=n, at_ms=case.place.log_ms))
    if n == len(message.attempts) and message.stage is Stage.FLYING and not message.cancel_requested_ms:
        _resend(case, message)


def _resend(case: Case, message: Message) -> None:
    policy, doubts = message.policy, sum(attempt.doubtful for attempt in message.attempts) + 1
    if policy is None or policy.resend_after_ms is None or policy.category is Category.MARKETING:
        return
    due = case.place.log_ms + policy.resend_after_ms
    if due < policy.expires_ms and doubts <= max(1, len(policy.retry_delays_ms)) and not case.contact.consent.opted_out:
        retry(case, message, due, Reason.AMBIGUOUS, None)


def close(case: Case, message: Message) -> None:
    """A deadline passed: what may still arrive is unconfirmed or in doubt, else the last failure speaks."""
    arriving = [attempt for attempt in message.attempts if may_arrive(attempt)]
    best = max(message.attempts, key=lambda a: a.progress, default=None)
    if any(attempt.progress > Progress.CLAIMED for attempt in arriving):
        case.conclude(message, Word.UNCONFIRMED, Reason.NO_RECEIPT)
    elif arriving:
        case.conclude(message, Word.IN_DOUBT, Reason.NO_ANSWER)
    elif best is not None and best.progress in FAILED:
        case.conclude(message, FAILED[best.progress], reason_of(best.error))
    else:
        case.conclude(message, Word.EXPIRED, Reason.EXPIRED)


def expire(case: Case, message: Message) -> None:
    """No further attempt may start. What may still arrive has until the deadline for reports."""
    if any(may_arrive(attempt) for attempt in message.attempts):
        end(case, message, Word.EXPIRED, Reason.EXPIRED)
    else:
        close(case, message)


def end(case: Case, message: Message, word: Word, reason: Reason) -> None:
    """No further attempt: the outcome, unless one that was made may still arrive; then it goes on as that one."""
    if not any(may_arrive(attempt) for attempt in message.attempts):
        case.conclude(message, word, reason)
    elif message.stage in (Stage.WAITING, Stage.RETRYING):
        case.withdraw(message)
        case.happen(StageChanged(key=key_of(message.id), stage=Stage.FLYING, reason=reason))


def moved(case: Case, message_id: str, n: int) -> None:
    """What the best attempt means for the message, after attempt `n` moved."""
    message = case.find(message_id)
    assert message is not None, "it was there a moment ago"
    attempt, best = message.attempts[n - 1], max(a.progress for a in message.attempts)
    pending = message.stage in (Stage.WAITING, Stage.RETRYING)
    if best >= Progress.DELIVERED:
        case.conclude(message, Word.DELIVERED, Reason.REPORTED)
    elif message.word is Word.IN_DOUBT:
        close(case, message)
    elif n < len(message.attempts):
        _earlier(case, message)
    elif attempt.progress in FAILED:
        _failed(case, message, attempt)
    elif pending and attempt.progress > Progress.CLAIMED:
        case.withdraw(message)
        case.happen(StageChanged(key=key_of(message.id), stage=Stage.FLYING, reason=Reason.REPORTED))


def _earlier(case: Case, message: Message) -> None:
    """One that was in doubt while a later one was made: perhaps it was the last that could arrive."""
    if message.word is None and message.stage is Stage.FLYING and not any(may_arrive(a) for a in message.attempts):
        close(case, message)


def _failed(case: Case, message: Message, attempt: Attempt) -> None:
    if attempt.progress is Progress.CANCELED and message.recall is not None:
        end(case, message, RECALLED[message.recall], message.recall)
        return
    pending = message.stage in (Stage.WAITING, Stage.RETRYING)
    retriable = attempt.error in RETRIED and not case.contact.consent.opted_out
    if pending and retriable:
        return
    delays = message.policy.retry_delays_ms if message.policy else ()
    if retriable and message.stage is Stage.FLYING and attempt.n <= len(delays) and not message.cancel_requested_ms:
        due = case.place.log_ms + delays[attempt.n - 1]
        if message.policy is not None and due < message.policy.expires_ms:
            retry(case, message, due, reason_of(attempt.error), attempt)
            return
    end(case, message, FAILED[attempt.progress], reason_of(attempt.error))


def retry(case: Case, message: Message, due_ms: int, reason: Reason, attempt: Attempt | None) -> None:
    """A further attempt, not before `due_ms`."""
    case.happen(
        StageChanged(
            key=key_of(message.id),
            stage=Stage.RETRYING,
            reason=reason,
            due_ms=due_ms,
            error=attempt.error if attempt else None,
            code=attempt.code if attempt else None,
        )
    )
