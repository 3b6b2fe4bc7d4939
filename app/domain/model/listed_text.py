"""A text on Twilio's list, as the lister writes it down."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f
from app.domain.model.vocabulary import ErrorClass


class ListedText(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One outgoing text to this contact on Twilio's list. `created_ms`: Twilio's time, whole seconds."""

    sid: f.Sid
    created_ms: f.EpochMs
    progress: f.ProgressRank
    status: f.TwilioStatus
    lanes: Annotated[tuple[f.Lane, ...], Meta(description="Lanes of the tenant whose sender it bears.")] = ()
    digest: f.Digest = ""
    code: f.Code | None = None
    error: ErrorClass | None = None
    invalid_after: f.InvalidAfter = 0
    hold_until_ms: f.HoldUntil = 0
