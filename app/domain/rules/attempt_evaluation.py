"""What the attempts mean for their message: a retry, a doubt, a verdict."""

from app.domain.model.attempt_retention import is_full
from app.domain.model.contact import Attempt, Message, get_attempt, last_attempt_no, may_arrive
from app.domain.model.events import AttemptDoubted, MediaDropped, StageChanged
from app.domain.model.vocabulary import Category, CreateResult, DeliveryStatus, ErrorClass, OutcomeWord, Reason, Stage
from app.domain.rules.decision_context import DecisionContext, key_of, reason_of
from app.domain.rules.retry import after_failure
from app.domain.rules.suppression import suppression_of

FAILED = {
    DeliveryStatus.CANCELED: OutcomeWord.CANCELED,
    DeliveryStatus.FAILED: OutcomeWord.FAILED,
    DeliveryStatus.UNDELIVERED: OutcomeWord.UNDELIVERED,
}
PENDING = (Stage.WAITING, Stage.RETRYING)


# Why a text that Twilio held was called back, and so what became of it.
RECALLED = {Reason.OPTED_OUT: OutcomeWord.SUPPRESSED, Reason.CANCEL_REQUESTED: OutcomeWord.CANCELED}


def mark_in_doubt(case: DecisionContext, message: Message, n: int) -> None:
    """The attempt may have been sent. Never silently sent again: only where the tenant chose to, once per retry."""
    if get_attempt(message, n).doubtful:
        return
    case.record(AttemptDoubted(key=key_of(message.id), n=n, at_ms=case.place.log_ms))
    if n == last_attempt_no(message) and message.stage is Stage.FLYING and not message.cancel_requested_ms:
        _resend(case, message)


def _resend(case: DecisionContext, message: Message) -> None:
    policy, doubts = message.policy, sum(attempt.doubtful for attempt in message.attempts) + 1
    if policy is None or policy.resend_after_ms is None or policy.category is Category.MARKETING or is_full(message):
        return
    due = case.place.log_ms + policy.resend_after_ms
    if (
        due < policy.expires_ms
        and doubts <= max(1, len(policy.retry_delays_ms))
        and not suppression_of(case.contact, message)
    ):
        retry(case, message, due, Reason.AMBIGUOUS, None)


def conclude_at_deadline(case: DecisionContext, message: Message) -> None:
    """A deadline passed: what may still arrive is unconfirmed or in doubt, else the last failure speaks."""
    arriving = [attempt for attempt in message.attempts if may_arrive(attempt)]
    best = max(message.attempts, key=lambda a: a.progress, default=None)
    if any(attempt.progress > DeliveryStatus.CLAIMED for attempt in arriving):
        case.conclude(message, OutcomeWord.UNCONFIRMED, Reason.NO_RECEIPT)
    elif arriving:
        case.conclude(message, OutcomeWord.IN_DOUBT, Reason.NO_ANSWER)
    elif best is not None and best.progress in FAILED:
        case.conclude(message, FAILED[best.progress], reason_of(best.error))
    else:
        case.conclude(message, OutcomeWord.EXPIRED, Reason.EXPIRED)


def expire(case: DecisionContext, message: Message) -> None:
    """No further attempt may start. What may still arrive has until the deadline for reports."""
    if any(may_arrive(attempt) for attempt in message.attempts):
        end_attempts(case, message, OutcomeWord.EXPIRED, Reason.EXPIRED)
    else:
        conclude_at_deadline(case, message)


def end_attempts(case: DecisionContext, message: Message, word: OutcomeWord, reason: Reason) -> None:
    """No further attempt: the outcome, unless one that was made may still arrive; then it goes on as that one."""
    if not any(may_arrive(attempt) for attempt in message.attempts):
        case.conclude(message, word, reason)
    elif message.stage in PENDING:
        case.withdraw(message)
        case.record(StageChanged(key=key_of(message.id), stage=Stage.FLYING, reason=reason))


def suppress(case: DecisionContext, but: str = "") -> None:
    """What must not leave ends here; one whose earlier attempt may have been sent goes on as that attempt.

    `but`: id of the message whose own attempt told; what that means for it is decided with its progress.
    """
    for message in tuple(case.contact.messages.values()):
        bar = suppression_of(case.contact, message)
        if bar is None or message.stage in (Stage.FLYING, Stage.FINAL) or message.id == but:
            continue
        last = message.attempts[-1] if message.attempts else None
        failed = last is not None and last.progress > DeliveryStatus.CLAIMED and last.answer is not CreateResult.REFUSED
        end_attempts(case, message, OutcomeWord.FAILED if failed else OutcomeWord.SUPPRESSED, bar)


def evaluate_attempt(case: DecisionContext, message_id: str, n: int) -> None:
    """What the best attempt means for the message, after attempt `n` moved."""
    message = case.find(message_id)
    assert message is not None, "it was there a moment ago"
    attempt, best = get_attempt(message, n), max(a.progress for a in message.attempts)
    pending = message.stage in PENDING
    if best >= DeliveryStatus.DELIVERED:
        case.conclude(message, OutcomeWord.DELIVERED, Reason.REPORTED)
    elif message.word is OutcomeWord.IN_DOUBT:
        conclude_at_deadline(case, message)
    elif n < last_attempt_no(message):
        _earlier(case, message)
    elif attempt.progress in FAILED:
        _failed(case, message, attempt)
    elif pending and attempt.progress > DeliveryStatus.CLAIMED:
        case.withdraw(message)
        case.record(StageChanged(key=key_of(message.id), stage=Stage.FLYING, reason=Reason.REPORTED))


def _earlier(case: DecisionContext, message: Message) -> None:
    """One that was in doubt while a later one was made: perhaps it was the last that could arrive."""
    if message.word is None and message.stage is Stage.FLYING and not any(may_arrive(a) for a in message.attempts):
        conclude_at_deadline(case, message)


def _failed(case: DecisionContext, message: Message, attempt: Attempt) -> None:
    """The last attempt is reported as failed: another one where its errors allow it, else the end."""
    if attempt.progress is DeliveryStatus.CANCELED and message.recall is not None:
        end_attempts(case, message, RECALLED[message.recall], message.recall)
        return
    due = _again(case, message, attempt)
    if due is None:
        end_attempts(case, message, FAILED[attempt.progress], reason_of(attempt.error))
        return
    if any(step.error is ErrorClass.MMS_IMPOSSIBLE for step in attempt.learnt):
        drop_media(case, message)
    if message.stage is Stage.FLYING or (message.stage is Stage.RETRYING and due > message.due_ms):
        retry(case, message, due, reason_of(attempt.error), attempt)


def _again(case: DecisionContext, message: Message, attempt: Attempt) -> int | None:
    if message.stage is Stage.FINAL or message.policy is None or message.cancel_requested_ms:
        return None
    due = after_failure(message, attempt)
    if due is None or due >= message.policy.expires_ms or suppression_of(case.contact, message):
        return None
    return due


def drop_media(case: DecisionContext, message: Message) -> None:
    """Further attempts go as the text with the link, where there is one."""
    if message.policy is not None and message.policy.fallback_segments and not message.plain:
        case.record(MediaDropped(key=key_of(message.id)))


def retry(case: DecisionContext, message: Message, due_ms: int, reason: Reason, attempt: Attempt | None) -> None:
    """A further attempt, not before `due_ms`."""
    case.record(
        StageChanged(
            key=key_of(message.id),
            stage=Stage.RETRYING,
            reason=reason,
            due_ms=due_ms,
            error=attempt.error if attempt else None,
            code=attempt.code if attempt else None,
        )
    )
