"""Events: decided facts about one contact, past tense.

`decide` returns them; `evolve` folds them into the row. Records written to the notify topics are made from events.
`key` is the message's key within its contact (the 20 hex digits behind the contact id).
"""

import msgspec

from app.domain.model.consent_texts import ConsentTextRedated
from app.domain.model.contact import Contact, Message
from app.domain.model.frozen_contact import ContactUnfrozen
from app.domain.model.listed_text import ListedText
from app.domain.model.number_events import FailuresForgotten, NumberChanged, NumberFailed, TextFiltered
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


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True, gc=False):
    pass


class MessageOpened(_Event, frozen=True, kw_only=True):
    """A request was accepted (stage scheduled or waiting), or refused at the door (OutcomeGiven comes next)."""

    key: str
    message: Message
    warnings: tuple[str, ...] = ()


class StageChanged(_Event, frozen=True, kw_only=True):
    """The message went to another stage before any attempt answered: waiting (asked for turn `asked`), retrying until
    `due_ms`, ..."""

    key: str
    stage: Stage
    reason: Reason
    asked: int = 0
    due_ms: int = 0
    error: ErrorClass | None = None
    code: int | None = None


class AttemptClaimed(_Event, frozen=True, kw_only=True):
    """The durable word that attempt `n` begins. `probe`: what it would prove of a stopped lane."""

    key: str
    n: int
    offset: int
    at_ms: int
    probe: Proof | None = None


class CreateResultRecorded(_Event, frozen=True, kw_only=True):
    """The create call of attempt `n` was answered, refused, abandoned, or ended in doubt."""

    key: str
    n: int
    answer: CreateResult
    at_ms: int
    started_ms: int = 0
    sid: str = ""
    progress: DeliveryStatus = DeliveryStatus.CLAIMED
    segments: int = 0
    code: int | None = None
    error: ErrorClass | None = None
    why: str = ""


class AttemptProgressed(_Event, frozen=True, kw_only=True):
    """A report about attempt `n` was learnt (also one that does not raise the progress, when it is news)."""

    key: str
    n: int
    progress: DeliveryStatus
    at_ms: int
    provenance: Provenance
    sid: str = ""
    code: int | None = None
    error: ErrorClass | None = None
    inferred: bool = False
    hold_ms: int = 0


class InferredSidWithdrawn(_Event, frozen=True, kw_only=True):
    """What was inferred from Twilio's list about attempt `n` is disproved: its SID and the facts that came with it."""

    key: str
    n: int


class ReconciliationMade(_Event, frozen=True, kw_only=True):
    """Twilio's list was asked about the message; no further look is due up to `at_ms`."""

    key: str
    at_ms: int


class TextsRemembered(_Event, frozen=True, kw_only=True):
    """What Twilio's list holds that may be an attempt's whose SID is not known."""

    texts: tuple[ListedText, ...]


class AttemptDoubted(_Event, frozen=True, kw_only=True):
    """No answer and no report within doubt_after, or an answer that proves nothing: the attempt is in doubt."""

    key: str
    n: int
    at_ms: int


class MediaDropped(_Event, frozen=True, kw_only=True):
    """Further attempts go without media, as the text with the link: this person's media cannot be delivered."""

    key: str


class OutcomeGiven(_Event, frozen=True, kw_only=True):
    """The last word on a message so far. Revision 1 is the first; later evidence gives 2, 3 ..."""

    key: str
    word: OutcomeWord
    reason: Reason
    revision: int
    at_ms: int
    field: str = ""
    rule: str = ""


class RequestConflicted(_Event, frozen=True, kw_only=True):
    """Same key, other payload: nothing is sent; a dead letter and an update say so."""

    key: str
    at_ms: int


class RequestRepeated(_Event, frozen=True, kw_only=True):
    """Same key, same payload, another record: the message that it opened stands for this request too."""

    key: str
    at_ms: int


class CancelKept(_Event, frozen=True, kw_only=True):
    """A cancel arrived before its request; it holds for 24 h."""

    key: str
    at_ms: int


class CancelNoted(_Event, frozen=True, kw_only=True):
    """A cancel came too late to stop the attempt under way."""

    key: str
    at_ms: int


class LineTypeRecorded(_Event, frozen=True, kw_only=True):
    """Twilio's Lookup said what kind of line the contact's number is."""

    line_type: LineType
    at_ms: int


class ScheduledCancelRequested(_Event, frozen=True, kw_only=True):
    """Twilio holds the text until its time, or may, and is to cancel it."""

    key: str
    reason: Reason
    at_ms: int


class ScheduledCancelFailed(_Event, frozen=True, kw_only=True):
    """Twilio would not cancel it: it was sent already, or is not there."""

    key: str
    at_ms: int
    code: int | None = None


class ConsentChanged(_Event, frozen=True, kw_only=True):
    """Consent of the contact after a STOP, START or a 21610; `changed` is False when only the evidence is newer."""

    intent: Intent
    opted_out: bool
    received_ms: int
    log_ms: int
    offset: int
    source: str
    changed: bool = True
    sid: str = ""


class TextReceived(_Event, frozen=True, kw_only=True):
    """The person texted in (goes to notify.inbound; the sealed text is taken from the input)."""

    sid: str
    intent: Intent


class MessageForgotten(_Event, frozen=True, kw_only=True):
    """30 days after it became final: the row in table `messages` is dropped."""

    key: str


class CheckpointKept(_Event, frozen=True, kw_only=True):
    """The row can be folded from here: this input carries all that came before. `restored`: the row it carries, when
    the row as folded began later than that one, with inputs before it gone."""

    at_ms: int
    offset: int
    restored: Contact | None = None


class InputRefused(_Event, frozen=True, kw_only=True):
    """The input makes no sense here (another tenant's, an unknown message) or tells a bug: kept as a dead letter."""

    field: str
    rule: str


Event = (
    MessageOpened
    | ContactUnfrozen
    | StageChanged
    | AttemptClaimed
    | CreateResultRecorded
    | AttemptProgressed
    | AttemptDoubted
    | InferredSidWithdrawn
    | ReconciliationMade
    | TextsRemembered
    | MediaDropped
    | OutcomeGiven
    | RequestConflicted
    | RequestRepeated
    | CancelKept
    | CancelNoted
    | LineTypeRecorded
    | ScheduledCancelRequested
    | ScheduledCancelFailed
    | ConsentChanged
    | ConsentTextRedated
    | NumberFailed
    | NumberChanged
    | FailuresForgotten
    | TextFiltered
    | TextReceived
    | MessageForgotten
    | CheckpointKept
    | InputRefused
)
