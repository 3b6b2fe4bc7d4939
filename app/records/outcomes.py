"""Family `outcomes`: the last word on a message, on `notify.outcomes`."""

import msgspec

from app.records.envelope import Cause


class AttemptSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One create call of the message, as far as known."""

    attempt: int
    message_sid: str
    answer: str
    progress: str
    error_code: int | None
    error_class: str | None
    in_doubt: bool
    claimed_at: str
    started_at: str | None


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """To whom: sealed (tenant and message id as associated data) and masked in clear."""

    sealed: str
    masked: str


class NotifyOutcome(msgspec.Struct, frozen=True, kw_only=True, tag="notify.outcome.v1", tag_field="type"):
    """One per message and revision. `id` is `message_id:revision`; repeats after a crash are the same bytes."""

    id: str
    at: str
    tenant: str
    message_id: str
    idempotency_key: str
    recipient: Recipient
    outcome: str
    reason: str
    revision: int
    error_code: int | None
    attempts: tuple[AttemptSeen, ...]
    possible_duplicate: bool
    segments: int
    country: str
    requested_at: str
    logged_at: str
    final_at: str
    times: dict[str, str]
    campaign: str
    metadata: dict[str, str]
    cause: Cause
    field: str = ""
    rule: str = ""
