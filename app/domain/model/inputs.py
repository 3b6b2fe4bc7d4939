"""Inputs: the records on topic `contacts`, as the fold sees them.

Each carries what its writer resolved at the door (policy, intent, error class), so that a replay decides the same.
Common fields: `id` (unique per writing), `tenant` (verified by the writer), `pk` (fingerprint of the pseudonym key),
`at` (ms since the epoch, time of receipt at the door). Sealed fields are opaque to the domain: base64 text made by
`records.seal`; `LogPosition` tells where on the log the input stands.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f
from app.domain.model.contact import Contact
from app.domain.model.listed_text import ListedText
from app.domain.model.policy import Policy
from app.domain.model.vocabulary import (
    CreateResult,
    DeliveryStatus,
    DueKind,
    ErrorClass,
    Intent,
    LineType,
    Proof,
    Provenance,
    Reason,
)


class LogPosition(msgspec.Struct, frozen=True, gc=False):
    """Where an input stands on its contact's log: partition, offset, and log time (LogAppendTime, ms).

    `retry_of`: offset of the input of this partition that it repeats, as an operator had it produced again; -1: none.
    """

    partition: int
    offset: int
    log_ms: int
    retry_of: int = -1


class _Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    id: f.Id
    tenant: f.Tenant
    pk: f.KeyFingerprint
    at: f.EpochMs


class MessageRequested(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.requested.v1"):
    """One message to this contact is asked for.

    `fingerprint`: keyed hash of the payload; `requested_ms`: log time of the request's record; `digest`: of the text,
    as the texts on Twilio's list have it; `fallback_digest`: of the text that goes where media cannot be received.
    """

    message_id: f.MessageId
    fingerprint: f.Fingerprint
    sealed: f.SealedContent
    sealed_to: f.SealedTo
    sealed_caller_fields: f.SealedCallerFields
    masked: f.Masked
    country: f.Country
    policy: Policy
    requested_ms: f.EpochMs
    source: f.Source
    digest: f.Digest = ""
    fallback_digest: f.Digest = ""
    traceparent: f.Traceparent = ""
    warnings: f.Warnings = ()


class RequestRejected(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.rejected.v1"):
    """A request that names this contact broke a rule at the door: it ends as outcome `rejected` if its key is new.

    `reason`: invalid_request, or sandboxed when the tenant may not text this contact.
    """

    message_id: f.MessageId
    fingerprint: f.Fingerprint
    sealed_to: f.SealedTo
    sealed_caller_fields: f.SealedCallerFields
    masked: f.Masked
    field: f.FaultyField
    rule: f.Rule
    requested_ms: f.EpochMs
    source: f.Source
    forget_after_ms: f.Ms = 2_592_000_000
    reason: Reason = Reason.INVALID_REQUEST
    traceparent: f.Traceparent = ""


class CancelRequested(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.cancel_requested.v1"):
    """The team withdraws a message. If the request is not there yet, it is kept as canceled in advance for 24 h."""

    message_id: f.MessageId


class PermitGranted(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.turn_granted.v1"):
    """The lane gives leave to start attempt `attempt` now. `probe`: the lane is stopped, and this is to show that it
    works again."""

    message_id: f.MessageId
    attempt: f.Attempt
    lane: f.Lane
    probe: Proof | None = None


class CreateReturned(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.answered.v1"):
    """What Twilio answered to the create call of an attempt, or that the call was abandoned before it left.

    `started_ms`: when the call began (wall time of the caller), `at`: when the answer was in hand.
    """

    message_id: f.MessageId
    attempt: f.Attempt
    answer: CreateResult
    started_ms: f.EpochMs = 0
    sid: f.Sid = ""
    progress: f.ProgressRank = DeliveryStatus.ACCEPTED
    segments: f.Segments = 0
    code: f.Code | None = None
    error: ErrorClass | None = None
    http_status: Annotated[int, f.BOUNDS, Meta(description="Status of the answer, 0 without one.")] = 0
    retry_after_ms: f.Ms | None = None
    why: Annotated[str, Meta(description="Why it is doubtful or was abandoned, such as claim_ttl or lease.")] = ""
    line_type: Annotated[LineType, Meta(description="What Lookup said before the call, if asked.")] | None = None
    invalid_after: f.InvalidAfter = 0
    hold_until_ms: f.HoldUntil = 0


class ScheduledCancelReturned(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.recalled.v1"):
    """What Twilio said when it was asked to cancel a text that it holds until its time."""

    message_id: f.MessageId
    attempt: f.Attempt
    sid: f.Sid
    canceled: Annotated[bool, Meta(description="It will not be sent; else it was, or is not there.")]
    code: f.Code | None = None


class DeliveryReported(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.reported.v1"):
    """A status callback, or the same fact found by reconciliation."""

    message_id: f.MessageId
    attempt: f.Attempt
    sid: f.Sid
    progress: f.ProgressRank
    status: f.TwilioStatus
    code: f.Code | None = None
    error: ErrorClass | None = None
    provenance: Provenance = Provenance.CALLBACK
    carrier_done: Annotated[str, Meta(description="RawDlrDoneDate as the carrier gave it, digits.")] = ""
    invalid_after: f.InvalidAfter = 0
    hold_until_ms: f.HoldUntil = 0
    token: f.EventToken = ""
    raw: f.SealedWebhook = ""


class TextArrived(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.texted.v1"):
    """The person texted in; `to` in the seal is the person, `sender` the number of ours that was texted.

    `provenance`: reconciled if found on Twilio's list; `at` is then the time that Twilio received it.
    """

    sid: f.Sid
    intent: Intent
    sealed: f.SealedText
    masked: f.Masked
    keyword: f.Keyword = ""
    arguments_count: Annotated[int, f.BOUNDS, Meta(description="Words behind the first.")] = 0
    opt_out_type: Annotated[str, Meta(description="STOP, START or HELP by Advanced Opt-Out, or empty.")] = ""
    sender: Annotated[str, Meta(description="SID of the Messaging Service, or empty.")] = ""
    country: f.Country = ""
    answered_by: f.AnsweredBy = "twilio"
    media_count: f.MediaCount = 0
    provenance: Provenance = Provenance.CALLBACK
    token: f.EventToken = ""
    raw: f.SealedWebhook = ""
    rule: f.IntentRule = ""


class MessagesListed(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.listed.v1"):
    """A look at Twilio's list for messages without a final report. `look_ms`: the due time that it answers."""

    message_ids: tuple[f.MessageId, ...]
    look_ms: f.EpochMs
    texts: tuple[ListedText, ...] = ()
    whole: Annotated[bool, Meta(description="All that Twilio holds since the claim of the oldest message.")] = False


class TimerDue(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.due.v1"):
    """A timer came due. Void unless the row still says the same.

    `based`: with kind checkpoint, the base (see `Contact.based_offset`) that grew old.
    """

    message_id: f.TimedMessageId
    kind: DueKind
    due_ms: f.EpochMs
    based: Annotated[int, f.BOUNDS, Meta(description="Offset of the row's base, of kind checkpoint.")] = -1


class CheckpointWritten(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.checkpointed.v1"):
    """The contact's row as it stood when a checkpoint came due: the log may be folded from here.

    Void if the row was changed between the two: then it is not what the log says here, and another one will come.
    """

    row: Contact


class InputSkipped(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.set_aside.v1"):
    """The input at `offset` of this partition was not folded: it ended the process again and again, or what it makes
    cannot be written. Its contact was frozen there; a replay does the same."""

    offset: Annotated[int, f.BOUNDS, Meta(description="Offset of the input that is skipped.")]


Input = (
    MessageRequested
    | RequestRejected
    | CancelRequested
    | PermitGranted
    | CreateReturned
    | ScheduledCancelReturned
    | DeliveryReported
    | TextArrived
    | MessagesListed
    | TimerDue
    | CheckpointWritten
    | InputSkipped
)
