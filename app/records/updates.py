"""Family `updates`: one transition of a message and its reason, on `notify.updates`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f
from app.domain.model.vocabulary import CreateResult
from app.records.envelope import Cause

# The domain's events by their wire words; those of an answered attempt are the words of its answer.
EVENTS = [
    "opened",
    "stage",
    "claimed",
    *(a for a in CreateResult if a is not CreateResult.OPEN),
    "progressed",
    "doubted",
    "unbound",
    "media_dropped",
    "outcome",
    "conflicted",
    "repeated",
]
EVENTS += ["cancel_kept", "cancel_noted", "recall_wanted", "recall_ended", "forgotten"]


class NotifyUpdated(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="notify.updated.v1", tag_field="type", gc=False
):
    """One transition of a message: what happened, what state it led to, and why."""

    id: f.Id
    at: f.Iso
    at_ms: f.EpochMs
    tenant: f.Tenant
    message_id: f.MessageId
    event: Annotated[str, Meta(description="What happened.", extra_json_schema={"enum": EVENTS})]
    state: Annotated[str, Meta(description="The stage, progress or outcome it led to.")]
    reason: Annotated[str, Meta(description="Why: a reason, an error class, or what made an attempt doubtful.")]
    cause: Cause
    attempt: f.Attempt = 0
    error_class: Annotated[str, Meta(description="Kind of refusal or failure, empty without one.")] = ""
    error_code: f.Code | None = None
    message_sid: f.Sid = ""
    provenance: Annotated[str, Meta(description="How a report was learnt: answer, callback, reconciled.")] = ""
    country: f.Country = ""
    lane: f.Lane = ""
    category: Annotated[str, Meta(description="The request's category, empty before it is known.")] = ""
    priority: Annotated[str, Meta(description="The request's priority, empty before it is known.")] = ""
    segments: f.Segments = 0
    warnings: f.Warnings = ()
    revision: Annotated[int, f.BOUNDS, Meta(description="Of the outcome, with event outcome; else 0.")] = 0
    request_to_create_ms: Annotated[f.Ms, Meta(description="With event taken: ms from request to create.")] | None = (
        None
    )
    request_id: Annotated[
        f.RequestId, Meta(description="Of the request that this answers (opened, repeated, conflicted).")
    ] = ""
    idempotency_key: Annotated[str, Meta(description="Of that request.")] = ""
    request_digest: Annotated[f.Fingerprint, Meta(description="With event opened: keyed hash of the payload.")] = ""
    masked: Annotated[f.Masked, Meta(description="Recipient of that request.")] = ""
    create_to_delivered_ms: (
        Annotated[f.Ms, Meta(description="With outcome delivered: ms from create to delivery.")] | None
    ) = None
