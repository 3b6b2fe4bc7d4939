"""What an attempt tells the lane that it went over: slower, stop, or go on."""

from app.domain.model.contact import Attempt, Message
from app.domain.model.effects import LaneProved, LaneSlowed
from app.domain.model.inputs import CreateReturned, DeliveryReported
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, ErrorClass, Proof
from app.domain.rules.decision_context import DecisionContext
from app.domain.rules.retry import THROTTLED_MS

# Twilio or a carrier looked at the person or the text, so they took the sender.
BEYOND = {
    ErrorClass.OPTED_OUT,
    ErrorClass.NUMBER_INVALID,
    ErrorClass.NUMBER_UNREACHABLE,
    ErrorClass.FILTERED,
    ErrorClass.MMS_IMPOSSIBLE,
}


def tell_lane(
    case: DecisionContext, message: Message, attempt: Attempt, record: CreateReturned | DeliveryReported
) -> None:
    """A throttled lane slows down, one whose set-up is refused stops, a probe that came through sets it going, and one
    that ended without a word on the set-up is followed by another."""
    if message.policy is None:
        return
    if record.error in (ErrorClass.THROTTLED, ErrorClass.CONFIGURATION):
        case.effect(
            LaneSlowed(
                lane=message.policy.lane,
                error=record.error,
                hold_ms=_hold_ms(record),
                code=record.code,
                proof=Proof.TAKEN if isinstance(record, CreateReturned) else Proof.SENT,
                begun_ms=attempt.claimed_ms,
                probe=attempt.probe is not None,
            )
        )
    elif attempt.probe is not None and _proves(attempt.probe, record):
        case.effect(LaneProved(lane=message.policy.lane))
    elif attempt.probe is not None and _ended(record):
        error = record.error or ErrorClass.UNKNOWN
        case.effect(LaneSlowed(lane=message.policy.lane, error=error, hold_ms=0, code=record.code, probe=True))


def _hold_ms(record: CreateReturned | DeliveryReported) -> int:
    """For how long a throttled lane rests; one that is stopped knows by itself when to try again."""
    asked = record.retry_after_ms if isinstance(record, CreateReturned) else None
    return asked or (THROTTLED_MS if record.error is ErrorClass.THROTTLED else 0)


def _proves(probe: Proof, record: CreateReturned | DeliveryReported) -> bool:
    if record.error in BEYOND:
        return True
    if isinstance(record, CreateReturned):
        return probe is Proof.TAKEN and record.answer is CreateResult.TAKEN
    carried = record.progress is DeliveryStatus.SENT or record.progress >= DeliveryStatus.DELIVERED
    return carried or (probe is Proof.TAKEN and record.progress < DeliveryStatus.CANCELED)


def _ended(record: CreateReturned | DeliveryReported) -> bool:
    """Whether nothing more will be heard of the attempt."""
    if isinstance(record, CreateReturned):
        return record.answer in (CreateResult.REFUSED, CreateResult.ABANDONED)
    return record.progress in (DeliveryStatus.CANCELED, DeliveryStatus.FAILED, DeliveryStatus.UNDELIVERED)
