"""A contact is frozen while inputs of its log are not folded: its state is unknown, so nothing may be claimed.

Deadlines still bring the outcomes of its messages in time.
"""

import msgspec
from msgspec.structs import replace

from app.domain.model.contact import Contact

# Inputs remembered, the oldest kept: with more of them a contact needs an operator anyway.
MOST = 64


class ContactUnfrozen(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True, gc=False):
    """The input at `offset`, which was not folded, is folded now. `last`: no other one is missing."""

    offset: int
    last: bool


def freeze(contact: Contact, fault: str, offset: int) -> Contact:
    """The contact without the input at `offset`, which `fault` kept from being folded."""
    missing = contact.frozen_by if offset in contact.frozen_by else (*contact.frozen_by, offset)[:MOST]
    return replace(contact, frozen=fault, frozen_by=missing)


def thaw(contact: Contact, event: ContactUnfrozen) -> Contact:
    """The contact after the event."""
    missing = tuple([offset for offset in contact.frozen_by if offset != event.offset])
    return replace(contact, frozen_by=missing, frozen=contact.frozen if missing else "")
