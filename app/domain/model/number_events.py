"""Events: decided facts about the person's number, and about texts that do not get through to it."""

import msgspec

from app.domain.model.vocabulary import ErrorClass


class _NumberEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True, gc=False):
    pass


class NumberFailed(_NumberEvent, frozen=True, kw_only=True):
    """The number was not reached for message `told_by`: so many of these make it invalid."""

    told_by: str
    at_ms: int
    invalid_after: int


class NumberChanged(_NumberEvent, frozen=True, kw_only=True):
    """The number is invalid from here, or (`why` is None) valid again. `by`: what told: a class, delivered, texted.
    `told_by`: key of the message that told, or ""."""

    why: ErrorClass | None
    by: str
    at_ms: int
    told_by: str = ""
    code: int | None = None


class FailuresForgotten(_NumberEvent, frozen=True, kw_only=True):
    """The person was reached, or wrote: the failures before count no more."""


class TextFiltered(_NumberEvent, frozen=True, kw_only=True):
    """Carriers filtered this text: it is not sent to this person again. `lifted`: it was delivered after all."""

    digest: str
    lifted: bool = False
