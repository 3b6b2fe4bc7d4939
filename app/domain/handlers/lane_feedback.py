"""What an attempt tells the lane that it went over: slower, stop, or go on."""

from app.domain.model.contact import Attempt, Message
from app.domain.model.effects import LaneProved, LaneSlowed
from app.domain.model.inputs import Answered, Reported
from app.domain.model.vocabulary import Answer, ErrorClass, Progress, Proof
from app.domain.rules.decision_context import Case
from app.domain.rules.retry import THROTTLED_MS

# Twilio or a carrier looked at the person or the text, so they took the sender.
BEYOND = {
    ErrorClass.OPTED_OUT,
    ErrorClass.NUMBER_INVALID,
    ErrorClass.NUMBER_UNREACHABLE,
    ErrorClass.FILTERED,
    ErrorClass.MMS_IMPOSSIBLE,
}


def tell_lane(case: Case, message: Message, attempt: Attempt, record: Answered | Reported) -> None:
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
                proof=Proof.TAKEN if isinstance(record, Answered) else Proof.SENT,
                begun_ms=attempt.claimed_ms,
                probe=attempt.probe is not None,
            )
        )
    elif attempt.probe is not None and _proves(attempt.probe, record):
        case.effect(LaneProved(lane=message.policy.lane))
    elif attempt.probe is not None and _ended(record):
        error = record.error or ErrorClass.UNKNOWN
        case.effect(LaneSlowed(lane=message.policy.lane, error=error, hold_ms=0, code=record.code, probe=True))


def _hold_ms(record: Answered | Reported) -> int:
    """For how long a throttled lane rests; one that is stopped knows by itself when to try again."""
    asked = record.retry_after_ms if isinstance(record, Answered) else None
    return asked or (THROTTLED_MS if record.error is ErrorClass.THROTTLED else 0)


def _proves(probe: Proof, record: Answered | Reported) -> bool:
    if record.error in BEYOND:
        return True
    if isinstance(record, Answered):
        return probe is Proof.TAKEN and record.answer is Answer.TAKEN
    carried = record.progress is Progress.SENT or record.progress >= Progress.DELIVERED
    return carried or (probe is Proof.TAKEN and record.progress < Progress.CANCELED)


def _ended(record: Answered | Reported) -> bool:
    """Whether nothing more will be heard of the attempt."""
    if isinstance(record, Answered):
        return record.answer in (Answer.REFUSED, Answer.ABANDONED)
    return record.progress in (Progress.CANCELED, Progress.FAILED, Progress.UNDELIVERED)
