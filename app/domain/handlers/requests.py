"""Decisions on requests, refusals at the door, and cancels."""

from app.domain.handlers.scheduled_cancel import recall
from app.domain.model.contact import Message, may_arrive
from app.domain.model.events import (
    CancelKept,
    CancelNoted,
    InputRefused,
    MessageOpened,
    RequestConflicted,
    RequestRepeated,
    StageChanged,
)
from app.domain.model.inputs import CancelRequested, MessageRequested, RequestRejected
from app.domain.model.row_limits import ACTIVE_BYTES, CANCEL_KEPT_MS, MOST_CANCELS_AHEAD, content_bytes
from app.domain.model.vocabulary import OutcomeWord, Reason, Stage
from app.domain.rules.decision_context import DecisionContext, key_of
from app.domain.rules.placement import is_active
from app.domain.rules.suppression import bar_of

# What the outcome says of a reason that is no rule of the request's own: field and rule.
EXPLAINED = {
    Reason.TOO_MANY_OPEN: (
        "to",
        "names a contact for whom as many messages, or as much text, wait to be sent as may be",
    )
}


def requested(case: DecisionContext, record: MessageRequested) -> None:
    """A new key opens a message, which asks for its turn when it is the first of its order (see `order`); the same
    request again is nothing new; the same key with other content a conflict."""
    if _known(case, record):
        return
    ahead_ms = case.contact.canceled_ahead.get(key_of(record.message_id))
    message = _message(case, record)
    case.record(MessageOpened(key=key_of(record.message_id), message=message, warnings=record.warnings))
    word, reason = _refusal(case, record, ahead_ms)
    if word is not None:
        case.conclude(message, word, reason, *EXPLAINED.get(reason, ()))


def rejected(case: DecisionContext, record: RequestRejected) -> None:
    """A rule was broken at the door: the outcome says which field and rule."""
    if _known(case, record):
        return
    message = Message(
        id=record.message_id,
        tenant=record.tenant,
        fingerprint=record.fingerprint,
        stage=Stage.FINAL,
        masked=record.masked,
        sealed_to=record.sealed_to,
        sealed_caller_fields=record.sealed_caller_fields,
        requested_ms=record.requested_ms,
        logged_ms=case.place.log_ms,
        logged_offset=case.place.offset,
        source=record.source,
        traceparent=record.traceparent,
        forget_after_ms=record.forget_after_ms,
    )
    case.record(MessageOpened(key=key_of(record.message_id), message=message))
    case.conclude(message, OutcomeWord.REJECTED, record.reason, record.field, record.rule)


def canceled(case: DecisionContext, record: CancelRequested) -> None:
    """Before a call left, a cancel ends the message; later it is noted; before the request, kept for 24 h."""
    key, now = key_of(record.message_id), case.place.log_ms
    message = case.find(record.message_id)
    if message is None:
        _keep_ahead(case, key)
    elif message.stage is Stage.FLYING:
        case.record(CancelNoted(key=key, at_ms=now))
        recall(case, message, Reason.CANCEL_REQUESTED)
    elif message.stage is not Stage.FINAL and any(may_arrive(attempt) for attempt in message.attempts):
        case.withdraw(message)
        case.record(StageChanged(key=key, stage=Stage.FLYING, reason=Reason.CANCEL_REQUESTED))
        case.record(CancelNoted(key=key, at_ms=now))
        recall(case, case.contact.messages[key], Reason.CANCEL_REQUESTED)
    elif message.stage is not Stage.FINAL:
        case.conclude(message, OutcomeWord.CANCELED, Reason.CANCEL_REQUESTED)


def _keep_ahead(case: DecisionContext, key: str) -> None:
    """Keep a cancel whose message is not there, unless so many are kept already.

    The new one is refused, not the oldest dropped: of that one `notify.updates` said that it is kept.
    """
    ahead, now = case.contact.canceled_ahead, case.place.log_ms
    oldest_ms = next(iter(ahead.values()), 0)
    if key not in ahead and len(ahead) >= MOST_CANCELS_AHEAD and now - oldest_ms <= CANCEL_KEPT_MS:
        rule = f"names no message yet, and {MOST_CANCELS_AHEAD} cancels of such are kept of this contact"
        case.record(InputRefused(field="message_id", rule=rule))
    else:
        case.record(CancelKept(key=key, at_ms=now))


def _known(case: DecisionContext, record: MessageRequested | RequestRejected) -> bool:
    message = case.find(record.message_id)
    if message is None:
        return False
    if message.fingerprint != record.fingerprint:
        case.record(RequestConflicted(key=key_of(record.message_id), at_ms=case.place.log_ms))
    elif message.source != record.source:
        # Another record. One record expanded twice has the same source, and was answered when it opened the message.
        case.record(RequestRepeated(key=key_of(record.message_id), at_ms=case.place.log_ms))
    return True


def _refusal(
    case: DecisionContext, record: MessageRequested, ahead_ms: int | None
) -> tuple[OutcomeWord | None, Reason]:
    """Why the message ends before it begins, if it does."""
    if ahead_ms is not None and case.place.log_ms - ahead_ms <= CANCEL_KEPT_MS:
        return OutcomeWord.CANCELED, Reason.CANCEL_REQUESTED
    if (bar := bar_of(case.contact, record.digest)) is not None:
        return OutcomeWord.SUPPRESSED, bar
    if record.policy.expires_ms <= case.place.log_ms:
        return OutcomeWord.EXPIRED, Reason.EXPIRED
    if _is_full(case, record.policy.max_open):
        return OutcomeWord.REJECTED, Reason.TOO_MANY_OPEN
    return None, Reason.REQUESTED


def _is_full(case: DecisionContext, max_open: int) -> bool:
    """Whether more is active, with the new message among it, than a contact's row may hold."""
    active = [m for m in case.contact.messages.values() if is_active(m, case.place.log_ms)]
    return len(active) > max_open or sum(map(content_bytes, active)) > ACTIVE_BYTES


def _message(case: DecisionContext, record: MessageRequested) -> Message:
    later = record.policy.start_ms > case.place.log_ms and not record.policy.handed_over
    return Message(
        id=record.message_id,
        tenant=record.tenant,
        fingerprint=record.fingerprint,
        stage=Stage.SCHEDULED if later else Stage.WAITING,
        masked=record.masked,
        sealed_to=record.sealed_to,
        sealed_caller_fields=record.sealed_caller_fields,
        requested_ms=record.requested_ms,
        logged_ms=case.place.log_ms,
        logged_offset=case.place.offset,
        source=record.source,
        country=record.country,
        sealed=record.sealed,
        digest=record.digest,
        fallback_digest=record.fallback_digest,
        policy=record.policy,
        traceparent=record.traceparent,
        forget_after_ms=record.policy.forget_after_ms,
    )
