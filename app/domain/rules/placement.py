"""Where a message is kept: in its contact's row while it is active, in a row of its own at any other time.

A message is active while it may still cause a create or cancel call. What Twilio has accepted only waits for reports:
they change its own row alone, and the contact's row neither grows with it nor is written for it. A reported failure
that allows a further attempt makes the message active again.

What leaves the contact's row is forgotten there but for the SIDs of its attempts (`DepartedAttempt`): Twilio's list
bears no
id of ours, and a text whose attempt is known must not be taken for that of an attempt in doubt (see `reconciliation`).
"""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from app.domain.model.contact import Attempt, Contact, DepartedAttempt, Message, digest_of, may_arrive
from app.domain.model.inputs import CreateReturned, DeliveryReported, Input, MessagesListed
from app.domain.model.row_limits import MOST_DEPARTED
from app.domain.model.vocabulary import DeliveryStatus, Stage
from app.domain.rules.decision_context import DecisionContext, key_of
from app.domain.rules.schedule import held

# What the clocks of the broker and of Twilio may differ by.
SKEW_MS = 30_000
# For so long after its claim an inferred SID can be proved to be another attempt's.
INFERRED_MS = 24 * 3_600_000


def is_active(message: Message, log_ms: int) -> bool:
    """True if the message may still cause a call to Twilio at `log_ms`, so that its contact's row must hold it.

    An attempt whose SID is only inferred counts as in doubt: an answer or a report may disprove it.
    """
    if message.stage is not Stage.FLYING:
        return message.stage is not Stage.FINAL
    if message.recall_ms:
        return True
    for attempt in message.attempts:
        if attempt.inferred or (attempt.progress is DeliveryStatus.CLAIMED and may_arrive(attempt)):
            return True
    policy = message.policy
    return policy is not None and log_ms < policy.start_ms and held(message) is not None


def own_rows(contact: Contact | None, record: Input) -> tuple[str, ...]:
    """Keys of the messages whose own rows the fold of the input needs: those that it names, and one that was taken for
    the owner of its SID, without those that the contact's row holds."""
    ids = record.message_ids if isinstance(record, MessagesListed) else (getattr(record, "message_id", ""),)
    keys = [key_of(message_id) for message_id in ids if message_id]
    if contact is None:
        return tuple(keys)
    if isinstance(record, CreateReturned | DeliveryReported) and record.sid:
        keys += [departed.inferred for departed in contact.departed if departed.sid == record.sid]
    return tuple([key for key in dict.fromkeys(keys) if key and key not in contact.messages])


def place_messages(case: DecisionContext) -> None:
    """Put each message that the input changed where it belongs now."""
    log_ms, offset = case.place.log_ms, case.place.offset
    for key in case.touched:
        message = case.contact.messages.get(key)
        if message is not None and not is_active(message, log_ms):
            case.contact = _without(case.contact, message, key, log_ms)
            case.rows = {**case.rows, key: replace(message, watermark=offset)}
        elif message is None and key in case.rows and is_active(row := case.rows[key], log_ms):
            # Its own row stays as it is: what the contact's row holds counts.
            case.contact = replace(case.contact, messages={**case.contact.messages, key: replace(row, watermark=-1)})
            case.rows = {other: kept for other, kept in case.rows.items() if other != key}


def _without(contact: Contact, message: Message, key: str, log_ms: int) -> Contact:
    """The contact's row after `message`, which is active no more, left it."""
    messages = {other: kept for other, kept in contact.messages.items() if other != key}
    added = tuple(_departed(message))
    if not added:
        return replace(contact, messages=messages)
    sids = {departed.sid for departed in added if departed.sid}
    old = [d for d in contact.departed if d.sid not in sids and _counts(d, messages, log_ms)]
    every = (*old, *added)
    until_ms = max((contact.departed_until_ms, *(d.until_ms for d in every[:-MOST_DEPARTED])))
    return replace(contact, messages=messages, departed=every[-MOST_DEPARTED:], departed_until_ms=until_ms)


def _departed(message: Message) -> Iterator[DepartedAttempt]:
    for attempt in message.attempts:
        digest = digest_of(message, plain=attempt.plain)
        if message.policy is not None and digest and (attempt.sid or may_arrive(attempt)):
            within_ms = INFERRED_MS if attempt.inferred else message.policy.doubt_after_ms + 2 * SKEW_MS
            inferred = key_of(message.id) if attempt.inferred else ""
            yield DepartedAttempt(attempt.sid, "" if attempt.sid else digest, attempt.claimed_ms + within_ms, inferred)


def _counts(departed: DepartedAttempt, messages: Mapping[str, Message], log_ms: int) -> bool:
    """Whether an attempt whose SID is unknown, now or of a claim to come, may be confused with it."""
    return log_ms <= departed.until_ms or any(
        attempt.claimed_ms <= departed.until_ms
        for message in messages.values()
        for attempt in message.attempts
        if is_unknown(attempt)
    )


def is_unknown(attempt: Attempt) -> bool:
    """True if the attempt may be at Twilio under a SID that is not known."""
    return not attempt.sid and may_arrive(attempt)
