"""When something of a message comes due, and how long a retry waits."""

from app.domain.contact import Message
from app.domain.words import Answer, DueKind, Stage

Dues = tuple[tuple[DueKind, int], ...]

FIRST_BACKOFF_MS, LAST_BACKOFF_MS = 1_000, 60_000


def dues(message: Message) -> Dues:
    """The next due times (ms since the epoch) of a message as it stands."""
    if message.stage is Stage.FINAL:
        if message.watermark >= 0:
            return ((DueKind.FORGET, message.final_ms + message.forget_after_ms),)
        return ((DueKind.ARCHIVE, message.final_ms + message.archive_after_ms),)
    policy = message.policy
    assert policy is not None, "only a refused request has no policy, and it is final"
    if message.stage is Stage.FLYING:
        last, outcome = message.attempts[-1], (DueKind.OUTCOME, policy.outcome_ms)
        if last.answer is Answer.OPEN and not last.doubtful and not last.progress:
            return ((DueKind.DOUBT, last.claimed_ms + policy.doubt_after_ms), outcome)
        return (outcome,)
    expire = (DueKind.EXPIRE, policy.expires_ms)
    if message.stage is Stage.SCHEDULED:
        return ((DueKind.START, policy.start_ms), expire)
    return ((DueKind.RETRY, message.due_ms), expire) if message.stage is Stage.RETRYING else (expire,)


def backoff_ms(failures: int) -> int:
    """1, 2, 4 ... 60 s after the first, second, third ... refusal that left nothing at Twilio."""
    return min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS << min(failures - 1, 16))
