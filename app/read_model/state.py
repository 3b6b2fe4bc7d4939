"""What is kept of one message, and how one record changes it: pure, so that any interleaving gives the same row.

Columns of the stage come from `notify.updates` alone and only move forward by the position of their cause on the
contact's log; columns of the outcome come from `notify.outcomes` alone and only move to a higher revision. So a
repeated or late record changes nothing, and it does not matter how records of the two topics are interleaved.
"""

import hashlib
import hmac
from collections.abc import Iterable

import msgspec

from app.domain.model.vocabulary import STATUS_WORDS
from app.records.outcomes import AttemptSummary, NotifyOutcome, Times
from app.records.updates import NotifyUpdated

_RANKS = {word: int(rank) for rank, word in STATUS_WORDS.items()}
# Updates about one attempt. The other ones that say where a message stands are `opened` and `stage`.
_OF_ATTEMPT = frozenset({"claimed", "taken", "refused", "doubtful", "abandoned", "doubted", "unbound", "progressed"})
NOWHERE = -1
# The last ones are kept, as many as a message's row keeps.
MOST_ATTEMPTS = 20


class AttemptState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One create call as the updates tell it. `state`: its last word; `rank`: its highest progress so far."""

    attempt: int
    state: str = ""
    message_sid: str = ""
    error_code: int | None = None
    rank: int = 0
    at_ms: int = 0


class MessageState(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `update_offset`, `update_index`: cause of the last update taken in; `revision`: of the outcome, 0: none.

    `key_hash`: keyed hash of the idempotency key, which may hold a number; `request_digest`: "" while not known, or
    for a request that broke a rule; `changed_ms`: time of the newest record taken in, ms since the epoch.
    """

    message_id: str
    tenant: str
    key_hash: str = ""
    request_digest: str = ""
    masked: str = ""
    stage: str = ""
    stage_reason: str = ""
    stage_ms: int = 0
    opened_ms: int = 0
    update_offset: int = NOWHERE
    update_index: int = NOWHERE
    attempts: tuple[AttemptState, ...] = ()
    outcome: str = ""
    reason: str = ""
    revision: int = 0
    error_code: int | None = None
    possible_duplicate: bool = False
    requested_at: str = ""
    final_at: str = ""
    times: Times = {}
    final_attempts: tuple[AttemptSummary, ...] = ()
    changed_ms: int = 0


def key_hash(pseudonym_key: bytes, tenant: str, idempotency_key: str) -> str:
    """32 hex digits by which a tenant's idempotency key is found; keyed, as a key may hold a phone number."""
    name = b"".join(len(raw := text.encode()).to_bytes(4, "big") + raw for text in (tenant, idempotency_key))
    return hmac.digest(pseudonym_key, b"read model key" + name, hashlib.sha256).hex()[:32]


def after_update(state: MessageState, update: NotifyUpdated, key_hash: str, at_ms: int) -> MessageState:
    """The row after an update. `key_hash`: of the idempotency key that the update carries, or ""; `at_ms`: log time of
    the update's record, by which the row is kept."""
    position = update.cause.offset, update.cause.index
    if position <= (state.update_offset, state.update_index):
        return state
    changes: dict[str, object] = {"update_offset": position[0], "update_index": position[1]}
    if update.event in _OF_ATTEMPT:
        changes["attempts"] = _with(state.attempts, update)
    if _moves(state.attempts, update):
        changes |= {"stage": update.state, "stage_reason": update.reason, "stage_ms": update.at_ms}
    if update.event == "opened":
        changes |= {"opened_ms": update.at_ms, "key_hash": key_hash or state.key_hash}
        changes |= {"request_digest": update.request_digest or state.request_digest}
        changes |= {"masked": update.masked or state.masked}
    changes["changed_ms"] = max(state.changed_ms, at_ms)
    return msgspec.structs.replace(state, **changes)


def after_outcome(state: MessageState, outcome: NotifyOutcome, key_hash: str, at_ms: int) -> MessageState:
    """The row after an outcome. `at_ms`: log time of the outcome's record."""
    if outcome.revision <= state.revision:
        return state
    return msgspec.structs.replace(
        state,
        key_hash=key_hash,
        request_digest=outcome.request_digest or state.request_digest,
        masked=outcome.recipient.masked,
        outcome=str(outcome.outcome),
        reason=str(outcome.reason),
        revision=outcome.revision,
        error_code=outcome.error_code,
        possible_duplicate=outcome.possible_duplicate,
        requested_at=outcome.requested_at,
        final_at=outcome.final_at,
        times=outcome.times,
        final_attempts=outcome.attempts,
        changed_ms=max(state.changed_ms, at_ms),
    )


def _find(attempts: Iterable[AttemptState], number: int) -> AttemptState:
    return next((one for one in attempts if one.attempt == number), AttemptState(attempt=number))


def _moves(attempts: Iterable[AttemptState], update: NotifyUpdated) -> bool:
    """Whether the message stands elsewhere after it. Progress only rises, and a report outweighs every answer; but
    what was taken for a report of this attempt may be disproved (`unbound`)."""
    if update.event not in _OF_ATTEMPT:
        return update.event in ("opened", "stage")
    known = _find(attempts, update.attempt).rank
    if update.event == "progressed":
        return _RANKS.get(update.state, 0) > known
    return known == 0 or update.event == "unbound"


def _with(attempts: tuple[AttemptState, ...], update: NotifyUpdated) -> tuple[AttemptState, ...]:
    """The attempts with what the update says of one of them; in the order of their numbers."""
    known = _find(attempts, update.attempt)
    # The SID is news even where the rest comes late.
    late = msgspec.structs.replace(known, message_sid=known.message_sid or update.message_sid)
    changed = _moved(known, update) if _moves(attempts, update) else late
    others = [one for one in attempts if one.attempt != update.attempt]
    return tuple(sorted((*others, changed), key=lambda one: one.attempt)[-MOST_ATTEMPTS:])


def _moved(known: AttemptState, update: NotifyUpdated) -> AttemptState:
    unbound = update.event == "unbound"  # the text that was taken for this attempt is another's
    return AttemptState(
        attempt=known.attempt,
        state=update.state,
        message_sid=update.message_sid or ("" if unbound else known.message_sid),
        error_code=update.error_code,
        rank=0 if unbound else max(known.rank, _RANKS.get(update.state, 0)),
        at_ms=update.at_ms,
    )
