"""Inputs that a message's own row shows already and the contact's row does not: a worker died between the two.

What such an input says of the contact is folded again, and the message is left as it is. Its row is exactly as this
input left it, or the input said nothing of the contact: see `fold`.
"""

from msgspec.structs import replace

from app.domain.handlers.attempts import progressed
from app.domain.handlers.inbound import learn
from app.domain.handlers.reconciliation import prove
from app.domain.model.contact import Attempt, Message, StatusStep, find_attempt
from app.domain.model.events import LineTypeRecorded
from app.domain.model.inputs import CreateReturned, DeliveryReported, Input, MessageRequested, RequestRejected
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, Provenance
from app.domain.rules.decision_context import DecisionContext, key_of


def repeated(case: DecisionContext, record: Input) -> None:
    """Only answers, reports and a request that was canceled ahead say anything of the contact."""
    if isinstance(record, MessageRequested | RequestRejected):
        _without_cancel(case, key_of(record.message_id))
    if not isinstance(record, CreateReturned | DeliveryReported):
        return
    message = case.ahead[key_of(record.message_id)]
    attempt = find_attempt(message, record.attempt)
    if attempt is None or message.watermark != case.place.offset:
        return
    if isinstance(record, DeliveryReported):
        _reported(case, message, attempt, record)
    else:
        _answered(case, message, attempt, record)


def _without_cancel(case: DecisionContext, key: str) -> None:
    if key in case.contact.canceled_ahead:
        rest = {other: at for other, at in case.contact.canceled_ahead.items() if other != key}
        case.contact = replace(case.contact, canceled_ahead=rest)


def _reported(case: DecisionContext, message: Message, attempt: Attempt, record: DeliveryReported) -> None:
    prove(case, message, attempt, record.sid)
    if _step(case, attempt, record.provenance, record.progress, record.code) is not None:
        before = len(case.events)
        learn(case, (message, attempt), record, record.at, record.sid)
        if len(case.events) > before:
            # Told once more, under its old number, so that what follows has its old one.
            case.events.insert(before, progressed(case, record))


def _answered(case: DecisionContext, message: Message, attempt: Attempt, record: CreateReturned) -> None:
    if attempt.answer is not record.answer or attempt.answered_ms != case.place.log_ms:
        return
    if record.line_type is not None:
        case.record(LineTypeRecorded(line_type=record.line_type, at_ms=case.place.log_ms))
    if record.answer is not CreateResult.DOUBTFUL:
        prove(case, message, attempt, record.sid)
    own = next((s for s in attempt.learnt if s.provenance is Provenance.ANSWER and s.at_ms == case.place.log_ms), None)
    if all(step.progress <= DeliveryStatus.CLAIMED for step in attempt.learnt if step is not own):
        learn(case, (message, attempt), record, record.at, "")


def _step(
    case: DecisionContext, attempt: Attempt, provenance: Provenance, progress: DeliveryStatus, code: int | None
) -> StatusStep | None:
    """The step that this input left, if it was news."""
    wanted = (progress, case.place.log_ms, provenance, code)
    return next((s for s in attempt.learnt if (s.progress, s.at_ms, s.provenance, s.code) == wanted), None)
