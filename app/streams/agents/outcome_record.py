"""The outcome record of a message: its row, the event that concluded it, and what is sealed of its caller."""

from msgspec import UNSET

from app.clock import iso
from app.domain.model.contact import Attempt, Message, segments_of
from app.domain.model.events import OutcomeGiven
from app.domain.model.vocabulary import STATUS_WORDS, DeliveryStatus, OutcomeWord
from app.records.caller_fields import CallerFields
from app.records.envelope import Cause
from app.records.outcomes import AttemptSummary, NotifyOutcome, Recipient
from app.streams.agents.caller_fields import LEFT_OUT


def outcome_record(
    message: Message, event: OutcomeGiven, cause: Cause, caller_fields: CallerFields | None
) -> NotifyOutcome:
    """`notify.outcome.v1` of this revision. `caller_fields`: None if they cannot be opened, which it says."""
    fields = caller_fields or CallerFields("")
    speaks = _deciding_attempt(message, event)
    return NotifyOutcome(
        id=f"{message.id}:{event.revision}",
        at=iso(event.at_ms),
        tenant=message.tenant,
        message_id=message.id,
        idempotency_key=fields.idempotency_key,
        recipient=Recipient(sealed=message.sealed_to, masked=message.masked),
        outcome=event.word,
        reason=event.reason,
        revision=event.revision,
        error_code=None if event.word is OutcomeWord.DELIVERED or speaks is None else speaks.code,
        attempts=tuple(_seen(attempt) for attempt in message.attempts),
        possible_duplicate=message.duplicate,
        segments=_segments(message),
        country=message.country,
        requested_at=iso(message.requested_ms),
        logged_at=iso(message.logged_ms),
        final_at=iso(message.final_ms or event.at_ms),
        times=_times(message),
        campaign=fields.campaign,
        metadata=fields.metadata,
        cause=cause,
        field=event.field,
        rule=event.rule,
        request_digest=message.fingerprint if message.policy is not None else "",
        attempts_dropped=message.attempts_dropped or UNSET,
        warnings=UNSET if caller_fields is not None else (LEFT_OUT,),
    )


def _deciding_attempt(message: Message, event: OutcomeGiven) -> Attempt | None:
    """The last attempt whose error is the reason of the outcome; where none is, the one that came furthest."""
    told = [
        attempt for attempt in message.attempts if attempt.error is not None and str(attempt.error) == str(event.reason)
    ]
    if told:
        return told[-1]
    best = max(message.attempts, key=lambda a: a.progress, default=None)
    if best is not None and best.progress > DeliveryStatus.CLAIMED:
        return best
    return message.attempts[-1] if message.attempts else None


def _seen(attempt: Attempt) -> AttemptSummary:
    return AttemptSummary(
        attempt=attempt.n,
        message_sid=attempt.sid,
        answer=attempt.answer,
        progress=STATUS_WORDS[attempt.progress],
        error_code=attempt.code,
        error_class=attempt.error,
        in_doubt=attempt.doubtful,
        claimed_at=iso(attempt.claimed_ms),
        started_at=iso(attempt.started_ms) if attempt.started_ms else None,
        without_media=attempt.plain,
    )


def _segments(message: Message) -> int:
    told = max((a.segments for a in message.attempts), default=0)
    return told or segments_of(message)


def _times(message: Message) -> dict[str, str]:
    """When each step was first learnt, by the best attempt."""
    best = max(message.attempts, key=lambda a: a.progress, default=None)
    times: dict[str, str] = {}
    for step in best.learnt if best else ():
        times.setdefault(STATUS_WORDS[step.progress], iso(step.at_ms))
    return times
