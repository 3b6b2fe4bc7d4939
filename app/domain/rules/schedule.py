"""When something of a message comes due, and how long a retry waits."""

import hashlib

from app.domain.model.contact import Attempt, Message, in_doubt
from app.domain.model.policy import Policy
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, DueKind, Stage

Dues = tuple[tuple[DueKind, int], ...]

FIRST_BACKOFF_MS, LAST_BACKOFF_MS = 1_000, 60_000
# Jitter is at most this part of a wait, either way.
JITTER_SHARE = 5


def dues(message: Message) -> Dues:
    """The next due times (ms since the epoch) of a message as it stands; the last of them is its deadline."""
    if message.stage is Stage.FINAL:
        return ((DueKind.FORGET, message.final_ms + message.forget_after_ms),)
    policy = message.policy
    assert policy is not None, "only a refused request has no policy, and it is final"
    if message.stage is Stage.FLYING:
        last, outcome = message.attempts[-1], (DueKind.OUTCOME, policy.outcome_ms)
        if last.answer is CreateResult.OPEN and not last.doubtful and not last.progress:
            return (*looks(message), (DueKind.DOUBT, last.claimed_ms + policy.doubt_after_ms), outcome)
        if held(message) is not None and message.recall_ms:
            return ((DueKind.RECALL, message.recall_ms), *looks(message), outcome)
        return (*looks(message), outcome)
    expire = (DueKind.EXPIRE, policy.expires_ms)
    if message.stage is Stage.SCHEDULED:
        return ((DueKind.START, policy.start_ms), expire)
    if message.stage is Stage.RETRYING:
        return (*looks(message), (DueKind.RETRY, message.due_ms), expire)
    return (*looks(message), expire)


def held(message: Message) -> Attempt | None:
    """The attempt that Twilio holds until its time, as far as is known; it can be canceled by its SID."""
    if message.policy is None or not message.policy.handed_over:
        return None
    return next((a for a in message.attempts if a.sid and a.progress is DeliveryStatus.ACCEPTED), None)


def looks(message: Message) -> Dues:
    """When Twilio's list is asked about it next: at most one due time."""
    policy, first = message.policy, 0
    if policy is None or message.stage is Stage.FINAL:
        return ()
    for attempt in message.attempts:
        at = _look_ms(attempt, policy)
        if at and (not first or at < first):
            first = at
    return ((DueKind.LOOK, first),) if first else ()


def _look_ms(attempt: Attempt, policy: Policy) -> int:
    """0: none. An attempt that is neither answered nor in doubt is let alone: its doubt comes first."""
    progress, after, since_ms = attempt.progress, policy.look_after_ms, attempt.claimed_ms
    if progress >= DeliveryStatus.CANCELED:
        return 0
    if progress == DeliveryStatus.CLAIMED:
        if not in_doubt(attempt):
            return 0
        after = tuple(sorted(after + policy.doubt_look_after_ms))
    elif policy.handed_over:
        since_ms = max(since_ms, policy.start_ms)
    since = attempt.looked_ms - since_ms
    return next((since_ms + duration for duration in after if duration > since), 0)


def backoff_ms(failures: int) -> int:
    """1, 2, 4 ... 60 s after the first, second, third ... refusal that left nothing at Twilio; without jitter."""
    return min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS << min(failures - 1, 16))


def with_jitter(wait_ms: int, message_id: str, attempt_no: int) -> int:
    """A wait made up to 20 % shorter or longer, so that messages that failed together do not come back together.

    A hash of the message and its attempt decides by how much: a replay of the log, and any order of reports, agree.
    """
    band_ms = wait_ms // JITTER_SHARE
    digest = hashlib.blake2b(f"{message_id}:{attempt_no}".encode(), digest_size=8).digest()
    return wait_ms - band_ms + int.from_bytes(digest) % (2 * band_ms + 1)
