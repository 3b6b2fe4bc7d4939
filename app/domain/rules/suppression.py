"""What forbids to text a person: their STOP, a number that is no more, a text that carriers filter."""

from app.domain.model.contact import Contact, Message, digest_of
from app.domain.model.vocabulary import Reason


def bar_of(contact: Contact, digest: str) -> Reason | None:
    """Why a text with this digest must not go to this contact, None if it may."""
    if contact.consent.opted_out:
        return Reason.OPTED_OUT
    if contact.number.why is not None:
        return Reason.NUMBER_INVALID
    return Reason.FILTERED if digest and digest in contact.filtered else None


def suppression_of(contact: Contact, message: Message) -> Reason | None:
    """Why no further attempt of the message may begin, None if it may."""
    return bar_of(contact, digest_of(message, plain=message.plain))
