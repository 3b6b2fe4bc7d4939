"""The policy of a request: what was resolved for it when it was read."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f
from app.domain.model.vocabulary import Category, Priority

LOOK_AFTER_MS = (900_000, 3_600_000, 86_400_000, 259_200_000)
DOUBT_LOOK_AFTER_MS = (90_000, 300_000)


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was resolved for a request when it was read: nothing here is looked up again.

    `retry_delays_ms` has one entry per allowed retry; `doubt_after_ms` counts from the claim, and so do the entries of
    `look_after_ms` (Twilio's list is asked while there is no final report) and `doubt_look_after_ms` (more such looks
    for an attempt in doubt); `handed_over`: Twilio is given the text ahead of `start_ms`, and sends it then (SendAt);
    `resend_after_ms` counts from the doubt and is null unless the tenant chose to resend.
    """

    lane: f.Lane
    priority: Priority
    category: Category
    segments: f.Segments
    expires_ms: f.EpochMs
    outcome_ms: f.EpochMs
    start_ms: f.EpochMs = 0
    handed_over: Annotated[bool, Meta(description="Twilio holds the text until start_ms.")] = False
    retry_delays_ms: tuple[f.Ms, ...] = ()
    doubt_after_ms: f.Ms = 60_000
    forget_after_ms: f.Ms = 2_592_000_000
    max_open: Annotated[int, f.BOUNDS, Meta(description="Most active messages of one contact.")] = 200
    resend_after_ms: f.Ms | None = None
    lookup: Annotated[bool, Meta(description="Ask for the line type first, unless it is known.")] = False
    look_after_ms: tuple[f.Ms, ...] = LOOK_AFTER_MS
    doubt_look_after_ms: tuple[f.Ms, ...] = DOUBT_LOOK_AFTER_MS
    fallback_segments: Annotated[
        int, f.BOUNDS, Meta(description="Of the text with the link, where media cannot be received; 0: there is none.")
    ] = 0
