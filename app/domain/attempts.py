"""Decisions on turns, answers and reports: the life of attempts."""

from app.domain.case import Case, key_of, reason_of
from app.domain.contact import Attempt, Message
from app.domain.events import (
    AttemptAnswered,
    AttemptClaimed,
    AttemptDoubted,
    AttemptProgressed,
    InputRefused,
    LaneSlowed,
    StageChanged,
)
from app.domain.inputs import Answered, Reported, TurnGranted
from app.domain.optout import learn_opt_out
from app.domain.timing import backoff_ms
from app.domain.words import Answer, Category, ErrorClass, Progress, Reason, Stage, Word

FAILED = {
    Progress.CANCELED: Word.CANCELED,
    Progress.FAILED: Word.FAILED,
    Progress.UNDELIVERED: Word.UNDELIVERED,
}
# Refusals that left nothing at Twilio and say nothing against the message: it waits and asks again until it expires.
WAITS = {ErrorClass.THROTTLED, ErrorClass.TRANSIENT, ErrorClass.CONFIGURATION, ErrorClass.FRAUD_BLOCK}
HOLD_MS = {ErrorClass.THROTTLED: 1_000, ErrorClass.CONFIGURATION: 60_000, ErrorClass.FRAUD_BLOCK: 900_000}
# Failures after acceptance that permit another attempt (Twilio 30017, 30047, 30001, 30022).
RETRIED = {ErrorClass.TRANSIENT, ErrorClass.THROTTLED}


def turn_granted(case: Case, record: TurnGranted) -> None:
    """The last look at consent and deadline before a claim. Every turn is answered."""
    message, n = case.find(record.message_id), record.attempt
    if message is not None and n <= len(message.attempts):
        case.turn(record.message_id, n, record.lane, taken=True)
    elif message is None or message.stage is not Stage.WAITING or message.asked != n or case.contact.frozen:
        case.turn(record.message_id, n, record.lane, taken=False)
    elif case.contact.consent.opted_out:
        case.conclude(message, Word.SUPPRESSED, Reason.OPTED_OUT)
    elif message.policy is not None and message.policy.expires_ms <= case.place.log_ms:
        expire(case, message)
    else:
        at, offset = case.place.log_ms, case.place.offset
        case.happen(AttemptClaimed(key=key_of(message.id), n=n, offset=offset, at_ms=at))
        case.turn(message.id, n, record.lane, taken=True)


def answered(case: Case, record: Answered) -> None:
    """Twilio's word on the create call. Reports that came before it win over a refusal."""
    found = _attempt(case, record.message_id, record.attempt)
    if found is None or found[1].answer not in (Answer.OPEN, Answer.DOUBTFUL):
        return
    message, before = found
    case.happen(
        AttemptAnswered(
            key=key_of(message.id),
            n=before.n,
            answer=record.answer,
            at_ms=case.place.log_ms,
            started_ms=record.started_ms,
            sid=record.sid,
            progress=record.progress if record.answer is Answer.TAKEN else Progress.CLAIMED,
            segments=record.segments,
            code=record.code,
            error=record.error,
            why=record.why,
        )
    )
    if before.progress > Progress.CLAIMED or message.stage is Stage.FINAL:
        return
    match record.answer:
        case Answer.TAKEN:
            _conclude(case, message.id, before.n)
        case Answer.DOUBTFUL:
            doubt(case, message, before.n)
        case Answer.ABANDONED:
            _ask_again(case, message)
        case Answer.REFUSED:
            _refused(case, message, record)
        case Answer.OPEN:
            return


def reported(case: Case, record: Reported) -> None:
    """A report: progress by rank, news kept with how it was learnt, the outcome by the best attempt."""
    found = _attempt(case, record.message_id, record.attempt)
    if found is None:
        case.happen(InputRefused(field="message_id", rule="names no attempt of this contact"))
        return
    message, attempt = found
    if attempt.sid and record.sid != attempt.sid:
        case.happen(InputRefused(field="sid", rule="is not the SID of this attempt"))
        return
    if any(s.progress == record.progress and s.code == record.code for s in attempt.learnt):
        return
    case.happen(_progressed(case, record))
    if record.error is ErrorClass.OPTED_OUT:
        learn_opt_out(case, record.at, record.sid)
    _conclude(case, message.id, attempt.n)


def reported_again(case: Case, record: Reported) -> None:
    """The message's row shows this report or a later one, the contact's row does not: a worker died between the two.

    What the report says of the person is learnt again, if it was news: then it left a step of this very log time.
    """
    found = _attempt(case, record.message_id, record.attempt)
    if found is None or record.error is not ErrorClass.OPTED_OUT:
        return
    step = (record.progress, record.code, case.place.log_ms)
    if any((s.progress, s.code, s.at_ms) == step for s in found[1].learnt):
        case.repeat(_progressed(case, record))
        learn_opt_out(case, record.at, record.sid)


def _progressed(case: Case, record: Reported) -> AttemptProgressed:
    return AttemptProgressed(
        key=key_of(record.message_id),
        n=record.attempt,
        progress=record.progress,
        at_ms=case.place.log_ms,
        provenance=record.provenance,
        sid=record.sid,
        code=record.code,
        error=record.error,
    )


def doubt(case: Case, message: Message, n: int) -> None:
    """The attempt may have been sent. Never silently sent again: only where the tenant chose to."""
    case.happen(AttemptDoubted(key=key_of(message.id), n=n, at_ms=case.place.log_ms))
    policy = message.policy
    if policy is None or policy.resend_after_ms is None or policy.category is Category.MARKETING:
        return
    due = case.place.log_ms + policy.resend_after_ms
    if due < policy.expires_ms:
        _retry(case, message, due, Reason.AMBIGUOUS, None)


def expire(case: Case, message: Message) -> None:
    """The deadline passed with no attempt under way: the last failure speaks, or doubt, else `expired`."""
    best = max(message.attempts, key=lambda a: a.progress, default=None)
    if best is not None and best.progress in FAILED:
        case.conclude(message, FAILED[best.progress], reason_of(best.error))
    elif any(a.doubtful and a.answer is not Answer.REFUSED for a in message.attempts):
        case.conclude(message, Word.IN_DOUBT, Reason.NO_ANSWER)
    else:
        case.conclude(message, Word.EXPIRED, Reason.EXPIRED)


def _attempt(case: Case, message_id: str, n: int) -> tuple[Message, Attempt] | None:
    message = case.find(message_id)
    if message is None or not 1 <= n <= len(message.attempts):
        return None
    return message, message.attempts[n - 1]


def _conclude(case: Case, message_id: str, n: int) -> None:
    """What the best attempt means for the message, after attempt `n` moved."""
    message = case.find(message_id)
    assert message is not None, "it was there a moment ago"
    attempt, best = message.attempts[n - 1], max(a.progress for a in message.attempts)
    pending = message.stage in (Stage.WAITING, Stage.RETRYING)
    if best >= Progress.DELIVERED:
        case.conclude(message, Word.DELIVERED, Reason.REPORTED)
    elif n < len(message.attempts):
        return
    elif attempt.progress in FAILED:
        _failed(case, message, attempt)
    elif pending and attempt.progress > Progress.CLAIMED:
        case.withdraw(message)
        case.happen(StageChanged(key=key_of(message.id), stage=Stage.FLYING, reason=Reason.REPORTED))


def _failed(case: Case, message: Message, attempt: Attempt) -> None:
    pending = message.stage in (Stage.WAITING, Stage.RETRYING)
    retriable = attempt.error in RETRIED and not case.contact.consent.opted_out
    if pending and retriable:
        return
    delays = message.policy.retry_delays_ms if message.policy else ()
    if retriable and message.stage is Stage.FLYING and attempt.n <= len(delays) and not message.cancel_requested_ms:
        due = case.place.log_ms + delays[attempt.n - 1]
        if message.policy is not None and due < message.policy.expires_ms:
            _retry(case, message, due, reason_of(attempt.error), attempt)
            return
    case.conclude(message, FAILED[attempt.progress], reason_of(attempt.error))


def _refused(case: Case, message: Message, record: Answered) -> None:
    """Nothing was sent. Some refusals wait, an opt-out is learnt, the rest end the message."""
    error, policy = record.error, message.policy
    if error is ErrorClass.OPTED_OUT:
        learn_opt_out(case, record.at, "")
        case.conclude(message, Word.SUPPRESSED, Reason.OPTED_OUT)
    elif error in WAITS and policy is not None and not message.cancel_requested_ms:
        refusals = sum(a.answer is Answer.REFUSED for a in message.attempts) + 1
        wait = max(record.retry_after_ms or backoff_ms(refusals), HOLD_MS.get(error, 0))
        if error in HOLD_MS:
            case.effect(LaneSlowed(lane=policy.lane, error=error, hold_ms=record.retry_after_ms or HOLD_MS[error]))
        _retry(case, message, case.place.log_ms + wait, reason_of(error), None)
    else:
        case.conclude(message, Word.FAILED, reason_of(error))


def _ask_again(case: Case, message: Message) -> None:
    """The call was abandoned before it left: a new attempt, if the message may still go."""
    current = case.find(message.id)
    assert current is not None, "it was there a moment ago"
    if case.contact.consent.opted_out:
        case.conclude(current, Word.SUPPRESSED, Reason.OPTED_OUT)
    elif current.cancel_requested_ms:
        case.conclude(current, Word.CANCELED, Reason.CANCEL_REQUESTED)
    elif current.policy is not None and current.policy.expires_ms <= case.place.log_ms:
        expire(case, current)
    else:
        case.ask(current, Reason.ABANDONED)


def _retry(case: Case, message: Message, due_ms: int, reason: Reason, attempt: Attempt | None) -> None:
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
