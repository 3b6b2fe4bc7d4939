"""How many attempts the row of a message keeps, and which ones it may drop.

A message that is abandoned or refused again and again until its deadline would else make its contact's row grow without
bound. Only attempts that are proved to have left nothing at Twilio are dropped, and never the last one, so that attempt
numbers go on growing; the message counts them, and its outcome says how many there were.
"""

from app.domain.model.contact import Attempt, Message
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, ErrorClass

# More than the backoff of abandoned claims and of refusals counts (`schedule.backoff_ms` stands still after seven).
KEPT_ATTEMPTS = 20
# Classes of refusals that wait and are tried again for as long as the message lives. Fraud blocks and media that cannot
# be delivered are not among them: another attempt is allowed once after such a refusal, so the row must remember it.
RETRIED_WITHOUT_LIMIT = frozenset(
    {
        ErrorClass.THROTTLED,
        ErrorClass.TRANSIENT,
        ErrorClass.CONFIGURATION,
        ErrorClass.DAILY_CAP,
        ErrorClass.QUIET_HOURS,
    }
)


def may_drop(attempt: Attempt) -> bool:
    """True if the call is proved to have left nothing at Twilio, and no rule looks back at it one by one.

    One that was ever in doubt stays: how often a message may be sent again after a doubt depends on it.
    """
    if attempt.sid or attempt.doubtful or attempt.progress > DeliveryStatus.CLAIMED:
        return False
    refused = attempt.answer is CreateResult.REFUSED and attempt.error in RETRIED_WITHOUT_LIMIT
    return refused or attempt.answer is CreateResult.ABANDONED


def with_attempt(attempts: tuple[Attempt, ...], new: Attempt) -> tuple[tuple[Attempt, ...], int]:
    """The attempts to keep, `new` behind the others, and how many were dropped: the oldest ones that may be."""
    excess, kept = len(attempts) + 1 - KEPT_ATTEMPTS, []
    for attempt in attempts:
        if excess > 0 and may_drop(attempt):
            excess -= 1
        else:
            kept.append(attempt)
    return (*kept, new), len(attempts) - len(kept)


def is_full(message: Message) -> bool:
    """True if a further attempt would be one too many, as none of those that are kept may be dropped for it."""
    return sum(not may_drop(attempt) for attempt in message.attempts) >= KEPT_ATTEMPTS
