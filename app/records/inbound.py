"""Family `inbound`: what a person wrote, on `notify.inbound`."""

import msgspec

from app.records.envelope import Cause


class NotifyReceived(msgspec.Struct, frozen=True, kw_only=True, tag="notify.received.v1", tag_field="type"):
    """`sealed`: {to, body, media, sender} with the inbound SID as subject; `answered_by`: who replied to a keyword."""

    id: str
    at: str
    tenant: str
    contact_id: str
    message_sid: str
    intent: str
    keyword: str
    answered_by: str
    sealed: str
    masked: str
    media_count: int
    cause: Cause
