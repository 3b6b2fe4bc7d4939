"""The row of one contact: consent, number health, and its active messages. The fold of its log, nothing else.

A `Message` is in its contact's row while it may still cause a create or cancel call, and in a row of its own in table
`messages` at any other time (see `placement`). So the contact's row does not grow with the messages of its life.
Times are ms since the epoch of the log (`Place.log_ms`) unless a docstring says otherwise. `gc=False`, here and in all
that is frozen and made of values: it can be in no cycle, and the collector need not look at it.
"""

import msgspec

from app.domain.model.listed_text import ListedText
from app.domain.model.policy import Policy
from app.domain.model.vocabulary import (
    CreateResult,
    DeliveryStatus,
    ErrorClass,
    Intent,
    LineType,
    OutcomeWord,
    Proof,
    Provenance,
    Reason,
    Stage,
)


class StatusStep(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One step of an attempt: what, when on the log, how, and Twilio's error code if any."""

    progress: DeliveryStatus
    at_ms: int
    provenance: Provenance
    code: int | None = None
    error: ErrorClass | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One create call. `progress` only rises; `code`/`error` belong to the worst news of the highest failure rank.

    `inferred`: the SID was found on Twilio's list and fits, no answer or report bears it together with our id;
    `looks`, `looked_ms`: how often Twilio's list was asked, and up to which due time. `plain`: the text went without
    its media; `hold_ms`: what its failure asks to be waited for; `probe`: what it would prove of a stopped lane.
    """

    n: int
    claimed_ms: int
    claimed_offset: int
    progress: DeliveryStatus = DeliveryStatus.CLAIMED
    answer: CreateResult = CreateResult.OPEN
    answered_ms: int = 0
    started_ms: int = 0
    sid: str = ""
    segments: int = 0
    code: int | None = None
    error: ErrorClass | None = None
    doubtful: bool = False
    doubted_ms: int = 0
    inferred: bool = False
    looks: int = 0
    looked_ms: int = 0
    plain: bool = False
    hold_ms: int = 0
    probe: Proof | None = None
    learnt: tuple[StatusStep, ...] = ()


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One text to one contact. Its key is the 20 hex digits of its id behind the contact id.

    `sealed` is dropped ("") once no further attempt can need it. `due_ms` is the time of the next start or retry.
    `attempts`: in the order of their numbers, which may have gaps: `attempts_dropped` are not kept any more, none of
    which left anything at Twilio.
    `recall`: why Twilio is to cancel the text that it holds, `recall_ms`: since when, 0 once it has said what it did.
    `logged_offset`: offset of the request that opened it. `revision` counts outcomes given; `duplicate`: the last of
    them said possible_duplicate. `watermark` (offset of the last input that changed it) is set in its own row only.
    `plain`: further attempts go without media, as the text with the link whose digest is `fallback_digest`.
    """

    id: str
    tenant: str
    fingerprint: str
    stage: Stage
    masked: str
    sealed_to: str
    sealed_caller_fields: str
    requested_ms: int
    logged_ms: int
    logged_offset: int = -1
    source: str = ""
    country: str = ""
    sealed: str = ""
    digest: str = ""
    policy: Policy | None = None
    traceparent: str = ""
    attempts: tuple[Attempt, ...] = ()
    attempts_dropped: int = 0
    asked: int = 0
    due_ms: int = 0
    word: OutcomeWord | None = None
    reason: Reason | None = None
    field: str = ""
    rule: str = ""
    revision: int = 0
    duplicate: bool = False
    final_ms: int = 0
    cancel_requested_ms: int = 0
    recall: Reason | None = None
    recall_ms: int = 0
    watermark: int = -1
    forget_after_ms: int = 2_592_000_000
    plain: bool = False
    fallback_digest: str = ""


class ConsentText(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A STOP or START text by its MessageSid, and when its first delivery was received."""

    sid: str
    intent: Intent
    received_ms: int


class Consent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Whether we may text. `stopped_received_ms` / `started_received_ms`: time of receipt at the door of the last STOP
    and START, which order the two; `evidence` names the input (offset) that decided the present state.

    `texts`: the last STOP and START texts, by time of receipt, each of which counts once (`domain.consent_texts`).
    `stopped_otherwise_ms`: the last STOP that is not among them, as Twilio's word or a text that was forgotten;
    `started_forgotten_ms`: the last START that was forgotten."""

    opted_out: bool = False
    stopped_received_ms: int = 0
    stopped_log_ms: int = 0
    stopped_offset: int = -1
    started_received_ms: int = 0
    source: str = ""
    evidence: str = ""
    texts: tuple[ConsentText, ...] = ()
    stopped_otherwise_ms: int = 0
    started_forgotten_ms: int = 0


class Failure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The number was not reached for message `key`; `invalid_after` such failures make it invalid."""

    key: str
    at_ms: int
    invalid_after: int


class NumberHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Whether the number can be reached. `why`: it is invalid, since `since_ms`, by Twilio's `code`; `failures`: one
    per message, none of them followed by a delivery or a text from the person."""

    why: ErrorClass | None = None
    since_ms: int = 0
    code: int | None = None
    failures: tuple[Failure, ...] = ()


REACHABLE = NumberHealth()


class DepartedAttempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An attempt whose message left the contact's row: its text on Twilio's list must not be taken for another's.

    `sid` is empty if it is unknown; then `digest` is that of its text. `until_ms`: an attempt claimed later cannot be
    confused with it. `inferred`: key of its message if the SID was only inferred, so that a proof that it is another's
    finds the message.
    """

    sid: str
    digest: str
    until_ms: int
    inferred: str = ""


class Contact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The row. `watermark`: offset of the last input that changed it; `messages`: the active ones, by key.

    `canceled_ahead`: message key to the log time of a cancel that came before its request; `texts`: the last
    inbound SIDs; `listed`: texts on Twilio's list that may be an attempt's whose SID is not known; `frozen`: a
    fault of ours stopped this contact, nothing may be claimed until the inputs at the offsets `frozen_by` are
    produced again; `line_type`: what Twilio's Lookup said at `line_ms`; `based_ms`, `based_offset`: log time and
    offset of the input the row can be folded from again: the last checkpoint, or else the first input. `filtered`:
    digests of texts that carriers filtered. `departed`: see DepartedAttempt; `departed_until_ms`: attempts claimed
    up to then may have rivals that are not kept any more.
    """

    tenant: str
    watermark: int = -1
    touched_ms: int = 0
    consent: Consent = Consent()
    messages: dict[str, Message] = {}
    canceled_ahead: dict[str, int] = {}
    texts: tuple[str, ...] = ()
    listed: tuple[ListedText, ...] = ()
    frozen: str = ""
    frozen_by: tuple[int, ...] = ()
    line_type: LineType | None = None
    line_ms: int = 0
    based_ms: int = 0
    based_offset: int = -1
    number: NumberHealth = REACHABLE
    filtered: tuple[str, ...] = ()
    departed: tuple[DepartedAttempt, ...] = ()
    departed_until_ms: int = 0


def find_attempt(message: Message, attempt_no: int) -> Attempt | None:
    """The attempt of this number; None if there never was one, or the row keeps it no more."""
    for attempt in reversed(message.attempts):
        if attempt.n == attempt_no:
            return attempt
    return None


def get_attempt(message: Message, attempt_no: int) -> Attempt:
    """The attempt of this number, which the caller knows to be kept. Raises LookupError if it is not."""
    attempt = find_attempt(message, attempt_no)
    if attempt is None:
        raise LookupError(f"message {message.id} keeps no attempt {attempt_no}")
    return attempt


def last_attempt_no(message: Message) -> int:
    """The number of the last attempt, 0 if there is none. The last one is always kept."""
    return message.attempts[-1].n if message.attempts else 0


def may_arrive(attempt: Attempt) -> bool:
    """Whether it reached the person or may yet: nothing proves that Twilio did not take it, and no report its failure.

    A report outweighs the answer, for it bears our id and a SID.
    """
    if attempt.progress > DeliveryStatus.CLAIMED:
        return attempt.progress < DeliveryStatus.CANCELED or attempt.progress >= DeliveryStatus.DELIVERED
    return attempt.answer not in (CreateResult.REFUSED, CreateResult.ABANDONED)


def possible_duplicate(message: Message) -> bool:
    """More than one attempt reached the person or may have: a resend, or a failure that was none."""
    return sum(may_arrive(attempt) for attempt in message.attempts) > 1


def in_doubt(attempt: Attempt) -> bool:
    """Whether it may have been sent and nobody knows."""
    return attempt.doubtful and attempt.progress is DeliveryStatus.CLAIMED and may_arrive(attempt)


def digest_of(message: Message, *, plain: bool) -> str:
    """Of the text with its media, or of the one with the link that stands for them."""
    return message.fallback_digest if plain else message.digest


def segments_of(message: Message) -> int:
    """Of the next attempt, as counted beforehand; 0 for a request that was refused."""
    policy = message.policy
    if policy is None:
        return 0
    return policy.fallback_segments if message.plain else policy.segments
