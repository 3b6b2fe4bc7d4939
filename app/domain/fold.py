"""The fold of a contact's log: pure, and reading nothing but the rows and the record."""

from collections.abc import Mapping
from typing import NamedTuple, assert_never

from msgspec.structs import replace

from app.domain.handlers.attempts import answered, reported, turn_granted
from app.domain.handlers.duplicate_inputs import repeated
from app.domain.handlers.frozen_contact import retried
from app.domain.handlers.inbound import texted
from app.domain.handlers.reconciliation import listed, settle
from app.domain.handlers.requests import canceled, rejected, requested
from app.domain.handlers.scheduled_cancel import recalled
from app.domain.handlers.timers import checkpointed, due
from app.domain.model.contact import Contact, Message
from app.domain.model.effects import Effect
from app.domain.model.events import Event, InputRefused, MessageForgotten
from app.domain.model.inputs import (
    CancelRequested,
    CheckpointWritten,
    CreateReturned,
    DeliveryReported,
    Input,
    InputSkipped,
    LogPosition,
    MessageRequested,
    MessagesListed,
    PermitGranted,
    RequestRejected,
    ScheduledCancelReturned,
    TextArrived,
    TimerDue,
)
from app.domain.model.row_limits import CANCEL_KEPT_MS
from app.domain.model.vocabulary import DueKind
from app.domain.rules.decision_context import DecisionContext
from app.domain.rules.placement import place_messages
from app.domain.rules.schedule import dues
from app.domain.rules.send_order import ask_next

# Their writers made the contact's id from tenant and address; the others took it from what they were told.
Proving = MessageRequested | RequestRejected | TextArrived


Messages = Mapping[str, Message]


class Folded(NamedTuple):
    """What one input made of the rows, what was decided, and what the world must be told.

    `contact` is the row as it stands; it is written only if `changed`. `written`: message rows to write, by message key
    (None: dropped). `known`: message rows that were looked up. `ends_cycle`: see `fold`.
    """

    contact: Contact
    changed: bool
    written: Mapping[str, Message | None]
    known: Messages
    events: tuple[Event, ...]
    effects: tuple[Effect, ...]
    ends_cycle: bool

    def find(self, key: str) -> Message | None:
        """The message as it stands after the input."""
        return self.contact.messages.get(key) or self.written.get(key) or self.known.get(key)


def fold(contact: Contact | None, rows: Messages, record: Input, place: LogPosition) -> Folded | None:
    """Fold one input. None if the contact's watermark says that it was folded before.

    `rows`: of table `messages`, by message key, those that the record names and the contact's row does not hold.

    A worker may die after it wrote message rows and before it wrote the contact's. Such a message row shows this input
    already: nothing is decided on it again, but what the input says of the contact is (`duplicate_inputs`). That is
    exact only if no later input has changed the message row, so an input that changes both ends its cycle
    (`ends_cycle`): all that
    it changed is durable before another input is folded. A message row is dropped behind the contact's row, which then
    says that inputs of the message are folded. `ops/decisions/0015` goes through every place to die.
    """
    stored = contact
    contact = _owned(contact or _begun(record, place), record, place)
    rows = {key: row for key, row in rows.items() if _is_begun(row, place)}
    if place.offset <= contact.watermark:
        return _forgotten_again(contact, rows, record)
    ahead = {key: row for key, row in rows.items() if row.watermark >= place.offset}
    case = DecisionContext(contact, {key: row for key, row in rows.items() if key not in ahead}, place, ahead)
    if contact.tenant and record.tenant != contact.tenant and not _names_nobody(record):
        case.record(InputRefused(field="tenant", rule="is not the tenant of this contact"))
    else:
        decide(case, record)
        retried(case, place.retry_of)
        if case.touched:
            ask_next(case)
    place_messages(case)
    # Whose contact it is must be known from its first input that proves it on, though nothing else be kept of that.
    new = contact is not stored and isinstance(record, Proving | CheckpointWritten)
    return _folded(contact, rows, case, always=new or (stored is not None and _forgets(record)))


def _names_nobody(record: Input) -> bool:
    """Whether the record is our own note that a contact's first input was set aside, before its tenant was known."""
    return isinstance(record, InputSkipped) and not record.tenant


def _is_begun(row: Message, place: LogPosition) -> bool:
    """False if the request of the message is still to be folded: then its row, written before a worker died, says
    nothing yet. One that ended with its request is as it was left then."""
    return row.logged_offset < place.offset or row.logged_offset == row.watermark == place.offset


def _forgotten_again(contact: Contact, rows: Messages, record: Input) -> Folded | None:
    """A worker died after it wrote the contact's row and before it dropped the row of a message that was forgotten."""
    if not isinstance(record, TimerDue) or not _forgets(record):
        return None
    gone = {key: None for key, row in rows.items() if (record.kind, record.due_ms) in dues(row)}
    return Folded(contact, False, gone, rows, (), (), False) if gone else None


def _forgets(record: Input) -> bool:
    """Whether the input drops a message row. It moves the contact's watermark whether or not there is such a row, as a
    replay need not have it: its request may be older than the log."""
    return isinstance(record, TimerDue) and record.kind is DueKind.FORGET


def _owned(contact: Contact, record: Input, place: LogPosition) -> Contact:
    """The row as the input finds it: its own tenant's, if that is proved only now."""
    if place.offset <= contact.watermark or not isinstance(record, Proving):
        return contact
    if record.tenant != contact.tenant and _nobodys(contact):
        return _begun(record, place)
    # Frozen before any input could be read.
    return contact if contact.tenant else replace(contact, tenant=record.tenant)


def _folded(before: Contact, rows: Messages, case: DecisionContext, *, always: bool) -> Folded:
    """`always`: the contact's row is to be written even if the input changed nothing in it."""
    changed = always or (case.contact is not before and case.contact != before)
    written: dict[str, Message | None] = {key: row for key, row in case.rows.items() if row is not rows.get(key)}
    written |= {event.key: None for event in case.events if isinstance(event, MessageForgotten)}
    both = changed and (bool(case.ahead) or any(case.rows.get(key) is not row for key, row in rows.items()))
    contact = _pruned(case.contact, case.place) if changed else before
    return Folded(contact, changed, written, rows, tuple(case.events), tuple(case.effects), both)


def _pruned(contact: Contact, place: LogPosition) -> Contact:
    """The row as it is written: without cancels that hold no longer. They are in the order of their times."""
    ahead = contact.canceled_ahead
    if ahead and place.log_ms - next(iter(ahead.values())) > CANCEL_KEPT_MS:
        ahead = {key: at for key, at in ahead.items() if place.log_ms - at <= CANCEL_KEPT_MS}
    return replace(contact, canceled_ahead=ahead, watermark=place.offset, touched_ms=place.log_ms)


def _begun(record: Input, place: LogPosition) -> Contact:
    """The row before its first input: nothing, or what a checkpoint says, when the log before it is gone.

    That row's watermark may be of another log (a new generation of the topic): it counts no input here as folded.
    """
    if isinstance(record, CheckpointWritten):
        return replace(record.row, watermark=-1)
    return Contact(tenant=record.tenant, based_ms=place.log_ms, based_offset=place.offset)


def _nobodys(contact: Contact) -> bool:
    """Whether nothing but inputs that were refused, and cancels of messages that are not there, made the row: they
    need not have named their own contact."""
    bare = replace(contact, tenant="", watermark=-1, touched_ms=0, based_ms=0, based_offset=-1, canceled_ahead={})
    return bare == Contact(tenant="")


def decide(case: DecisionContext, record: Input) -> None:
    """One decision per type of input; then whatever it says of texts that wait on Twilio's list."""
    if getattr(record, "message_id", "").partition("-")[2] in case.ahead:
        repeated(case, record)
    else:
        _decide(case, record)
    if case.contact.listed:
        settle(case)


def _decide(case: DecisionContext, record: Input) -> None:
    match record:
        case DeliveryReported():
            reported(case, record)
        case CreateReturned():
            answered(case, record)
        case PermitGranted():
            turn_granted(case, record)
        case MessageRequested():
            requested(case, record)
        case TimerDue():
            due(case, record)
        case TextArrived():
            texted(case, record)
        case MessagesListed():
            listed(case, record)
        case ScheduledCancelReturned():
            recalled(case, record)
        case CancelRequested():
            canceled(case, record)
        case CheckpointWritten():
            checkpointed(case, record)
        case RequestRejected():
            rejected(case, record)
        case InputSkipped():
            return  # the row was frozen where the input was skipped
        case _:
            assert_never(record)
