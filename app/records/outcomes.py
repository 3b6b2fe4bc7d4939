"""Family `outcomes`: the last word on a message, on `notify.outcomes`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f
from app.domain.model.vocabulary import STATUS_WORDS
from app.records.envelope import Cause


class AttemptSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One create call of the message, as far as known."""

    attempt: f.Attempt
    message_sid: f.Sid
    answer: f.AnswerWord
    progress: f.ProgressWord
    error_code: f.Code | None
    error_class: f.ClassWord | None
    in_doubt: Annotated[bool, Meta(description="It ever was in doubt: it may have been sent.")]
    claimed_at: f.Iso
    started_at: Annotated[f.Iso, Meta(description="When the call left, RFC 3339.")] | None
    without_media: Annotated[bool, Meta(description="The text with the link went, in place of the media.")] = False


class Recipient(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """To whom: sealed, and masked in clear."""

    sealed: f.SealedTo
    masked: f.Masked


Times = Annotated[
    dict[str, f.Iso],
    Meta(
        description="When each step of the best attempt was first learnt, RFC 3339.",
        extra_json_schema={"propertyNames": {"enum": [*STATUS_WORDS.values()]}},
    ),
]


AttemptsDropped = Annotated[
    int,
    Meta(
        description="How many attempts are not listed: each was abandoned or refused, and left nothing at Twilio. "
        "Not there if all are listed.",
        extra_json_schema={"minimum": 1},
    ),
]


OutcomeWarnings = Annotated[
    tuple[str, ...],
    Meta(
        description="What of it is missing: idempotency_key, campaign and metadata are empty where their seal could "
        "not be opened. Not there if nothing is."
    ),
]


class NotifyOutcome(msgspec.Struct, frozen=True, kw_only=True, tag="notify.outcome.v1", tag_field="type", gc=False):
    """One per message and revision. `id` is `message_id:revision`; repeats after a crash are the same bytes."""

    id: f.Id
    at: f.Iso
    tenant: f.Tenant
    message_id: f.MessageId
    idempotency_key: f.IdempotencyKey
    recipient: Recipient
    outcome: f.OutcomeField
    reason: f.OutcomeReason
    revision: Annotated[int, Meta(description="1, and more after later evidence.", extra_json_schema={"minimum": 1})]
    error_code: f.Code | None
    attempts: tuple[AttemptSummary, ...]
    possible_duplicate: Annotated[bool, Meta(description="More than one attempt may have reached the person.")]
    segments: f.Segments
    country: f.Country
    requested_at: f.Iso
    logged_at: f.Iso
    final_at: Annotated[f.Iso, Meta(description="When revision 1 was decided, RFC 3339.")]
    times: Times
    campaign: f.Campaign
    metadata: f.Metadata
    cause: Cause
    field: f.FaultyField = ""
    rule: f.Rule = ""
    request_digest: Annotated[
        f.Fingerprint,
        Meta(description="Keyed hash of the payload that opened the message; empty if a rule was broken."),
    ] = ""
    attempts_dropped: AttemptsDropped | msgspec.UnsetType = msgspec.UNSET
    warnings: OutcomeWarnings | msgspec.UnsetType = msgspec.UNSET
