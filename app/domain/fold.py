"""The fold of a contact's log: pure, and reading nothing but the rows and the record."""

from typing import NamedTuple, assert_never

from msgspec.structs import replace

from app.domain.attempts import answered, reported, reported_again, turn_granted
from app.domain.case import Case
from app.domain.contact import Contact, Message
from app.domain.deadlines import checkpointed, due
from app.domain.effects import Effect
from app.domain.events import Event, InputRefused
from app.domain.freeze import retried
from app.domain.inputs import (
    Answered,
    CancelRequested,
    Checkpointed,
    Due,
    Input,
    Listed,
    Place,
    Recalled,
    Rejected,
    Reported,
    Requested,
    SetAside,
    Texted,
    TurnGranted,
)
from app.domain.listing import listed, settle
from app.domain.person import texted
from app.domain.recalls import recalled
from app.domain.requests import canceled, rejected, requested

# Their writers made the contact's id from tenant and address; the others took it from what they were told.
Proving = Requested | Rejected | Texted


class Folded(NamedTuple):
    """What one input made of the rows, what was decided, and what the world must be told."""

    contact: Contact
    archived: Message | None
    events: tuple[Event, ...]
    effects: tuple[Effect, ...]


def fold(contact: Contact | None, archived: Message | None, record: Input, place: Place) -> Folded | None:
    """Fold one input. None if the row's watermark says that it was folded before.

    `archived`: the row of table `messages` for the message the record names, if the contact's row does not hold it.
    """
    if contact is None:
        contact = _begun(record, place)
    if place.offset <= contact.watermark:
        return None
    if record.tenant != contact.tenant and isinstance(record, Proving) and _nobodys(contact):
        contact = _begun(record, place)
    if not contact.tenant and isinstance(record, Proving):
        # Frozen before any input could be read.
        contact = replace(contact, tenant=record.tenant)
    if archived is not None and archived.logged_offset >= place.offset:
        # A worker died after it wrote this row and before it wrote the contact's: the request is still to be folded.
        archived = None
    case = Case(contact, archived, place)
    if record.tenant != contact.tenant and contact.tenant:
        case.happen(InputRefused(field="tenant", rule="is not the tenant of this contact"))
    elif archived is None or archived.watermark < place.offset:
        decide(case, record)
        retried(case, place.retry_of)
    elif isinstance(record, Reported):
        reported_again(case, record)
    after = replace(case.contact, watermark=place.offset, touched_ms=place.log_ms)
    return Folded(after, case.archived, tuple(case.events), tuple(case.effects))


def _begun(record: Input, place: Place) -> Contact:
    """The row before its first input: nothing, or what a checkpoint says, when the log before it is gone.

    That row's watermark may be of another log (a new generation of the topic): it counts no input here as folded.
    """
    if isinstance(record, Checkpointed):
        return replace(record.row, watermark=-1)
    return Contact(tenant=record.tenant, based_ms=place.log_ms, based_offset=place.offset)


def _nobodys(contact: Contact) -> bool:
    """Whether nothing but inputs that were refused, and cancels of messages that are not there, made the row: they
    need not have named their own contact."""
    bare = replace(contact, tenant="", watermark=-1, touched_ms=0, based_ms=0, based_offset=-1, canceled_ahead={})
    return bare == Contact(tenant="")


def decide(case: Case, record: Input) -> None:
    """One decision per type of input; then whatever it says of texts that wait on Twilio's list."""
    _decide(case, record)
    if case.contact.listed:
        settle(case)


def _decide(case: Case, record: Input) -> None:
    match record:
        case Reported():
            reported(case, record)
        case Answered():
            answered(case, record)
        case TurnGranted():
            turn_granted(case, record)
        case Requested():
            requested(case, record)
        case Due():
            due(case, record)
        case Texted():
            texted(case, record)
        case Listed():
            listed(case, record)
        case Recalled():
            recalled(case, record)
        case CancelRequested():
            canceled(case, record)
        case Checkpointed():
            checkpointed(case, record)
        case Rejected():
            rejected(case, record)
        case SetAside():
            return  # the row was frozen where the input was skipped
        case _:
            assert_never(record)
