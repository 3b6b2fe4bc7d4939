"""Inputs: the records on topic `contacts`, as the fold sees them.

Each carries what its writer resolved at the door (policy, intent, error class), so that a replay decides the same.
Common fields: `id` (unique per writing), `tenant` (verified by the writer), `pk` (fingerprint of the pseudonym key),
`at` (ms since the epoch, time of receipt at the door). Sealed fields are opaque to the domain: base64 text made by
`records.seal`; `Place` tells where on the log the input stands.
"""

import msgspec

from app.domain.contact import Contact
from app.domain.policy import Policy
from app.domain.words import Answer, DueKind, ErrorClass, Intent, Progress, Provenance


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where an input stands on its contact's log: partition, offset, and log time (LogAppendTime, ms)."""

    partition: int
    offset: int
    log_ms: int


class _Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    id: str
    tenant: str
    pk: str
    at: int


class Requested(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.requested.v1"):
    """One message to this contact is asked for.

    `fingerprint`: hash of the payload; `sealed`: {to, body, media}; `sealed_to`: {to}; `masked`: +1415•••0123;
    `source`: topic-partition-offset or http; `requested_ms`: when the producer's record was written (Kafka
    timestamp) or the HTTP request received.
    """

    message_id: str
    idempotency_key: str
    fingerprint: str
    sealed: str
    sealed_to: str
    masked: str
    country: str
    policy: Policy
    requested_ms: int
    source: str
    campaign: str = ""
    metadata: dict[str, str] = {}
    traceparent: str = ""


class Rejected(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.rejected.v1"):
    """A request that names this contact broke a rule at the door: it ends as outcome `rejected` if its key is new."""

    message_id: str
    idempotency_key: str
    fingerprint: str
    sealed_to: str
    masked: str
    field: str
    rule: str
    requested_ms: int
    source: str
    campaign: str = ""
    metadata: dict[str, str] = {}
    archive_after_ms: int = 86_400_000
    forget_after_ms: int = 2_592_000_000


class CancelRequested(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.cancel_requested.v1"):
    """The team withdraws a message. If the request is not there yet, it is kept as canceled in advance for 24 h."""

    message_id: str


class TurnGranted(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.turn_granted.v1"):
    """The lane gives leave to start attempt `attempt` now."""

    message_id: str
    attempt: int
    lane: str


class Answered(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.answered.v1"):
    """What Twilio answered to the create call of an attempt, or that the call was abandoned before it left.

    `started_ms`: when the call began (wall time of the caller), `at`: when the answer was in hand.
    """

    message_id: str
    attempt: int
    answer: Answer
    started_ms: int = 0
    sid: str = ""
    progress: Progress = Progress.ACCEPTED
    segments: int = 0
    code: int | None = None
    error: ErrorClass | None = None
    http_status: int = 0
    retry_after_ms: int | None = None
    why: str = ""


class Reported(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.reported.v1"):
    """A status callback, or the same fact found by reconciliation."""

    message_id: str
    attempt: int
    sid: str
    progress: Progress
    status: str
    code: int | None = None
    error: ErrorClass | None = None
    provenance: Provenance = Provenance.CALLBACK
    carrier_done: str = ""


class Texted(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.texted.v1"):
    """The person texted in. `sealed`: {from, to, body, media}; `answered_by`: who replies to a keyword, twilio or
    heliograph."""

    sid: str
    intent: Intent
    sealed: str
    masked: str
    keyword: str = ""
    arguments_count: int = 0
    opt_out_type: str = ""
    sender: str = ""
    country: str = ""
    answered_by: str = "twilio"
    media_count: int = 0


class Due(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.due.v1"):
    """A timer came due. Void unless the row still says the same. `message_id` is empty for a timer of the contact.

    `based`: with kind checkpoint, the base (see `Contact.based_offset`) that grew old.
    """

    message_id: str
    kind: DueKind
    due_ms: int
    based: int = -1


class Checkpointed(_Input, frozen=True, kw_only=True, omit_defaults=True, tag="contact.checkpointed.v1"):
    """The contact's row as it stood when a checkpoint came due: the log may be folded from here.

    Void if the row was changed between the two: then it is not what the log says here, and another one will come.
    """

    row: Contact


Input = Requested | Rejected | CancelRequested | TurnGranted | Answered | Reported | Texted | Due | Checkpointed
