"""Texts that Twilio holds until their time (SendAt): called back when the person says STOP or the team cancels.

Twilio does not do so by itself (an opt-out after the scheduling does not cancel it). A wish to recall stands in the
message's row until Twilio has said that the text is canceled, or that it is too late; it is due at once, as soon as the
text's SID is known, whatever way that is learnt.
"""

from app.domain.model.contact import Message, find_attempt, may_arrive
from app.domain.model.events import AttemptProgressed, InputRefused, ScheduledCancelFailed, ScheduledCancelRequested
from app.domain.model.inputs import ScheduledCancelReturned
from app.domain.model.vocabulary import DeliveryStatus, Provenance, Reason, Stage
from app.domain.rules.attempt_evaluation import evaluate_attempt
from app.domain.rules.decision_context import DecisionContext, key_of


def recall(case: DecisionContext, message: Message, reason: Reason) -> None:
    """The text must not be sent, if Twilio holds it or may hold it still."""
    policy = message.policy
    if message.stage is not Stage.FLYING or policy is None or not policy.handed_over or message.recall_ms:
        return
    if case.place.log_ms < policy.start_ms and any(may_arrive(attempt) for attempt in message.attempts):
        case.record(ScheduledCancelRequested(key=key_of(message.id), reason=reason, at_ms=case.place.log_ms))


def recalled(case: DecisionContext, record: ScheduledCancelReturned) -> None:
    """Twilio's word: canceled, or too late."""
    message, key = case.find(record.message_id), key_of(record.message_id)
    attempt = None if message is None else find_attempt(message, record.attempt)
    if attempt is None:
        case.record(InputRefused(field="message_id", rule="names no attempt of this contact"))
        return
    if record.sid != attempt.sid:
        return
    if not record.canceled:
        case.record(ScheduledCancelFailed(key=key, at_ms=case.place.log_ms, code=record.code))
    elif attempt.progress < DeliveryStatus.CANCELED:
        case.record(
            AttemptProgressed(
                key=key,
                n=attempt.n,
                progress=DeliveryStatus.CANCELED,
                at_ms=case.place.log_ms,
                provenance=Provenance.ANSWER,
                sid=attempt.sid,
            )
        )
        evaluate_attempt(case, record.message_id, attempt.n)
