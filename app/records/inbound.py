"""Family `inbound`: what a person wrote, on `notify.inbound`."""

import msgspec

from app.domain.model import schema_fields as f
from app.records.envelope import Cause


class NotifyReceived(msgspec.Struct, frozen=True, kw_only=True, tag="notify.received.v1", tag_field="type"):
    """A person texted in; `to` in the seal is the person, `sender` the number of ours that was texted."""

    id: f.Id
    at: f.Iso
    tenant: f.Tenant
    contact_id: f.ContactId
    message_sid: f.Sid
    intent: f.IntentWord
    keyword: f.Keyword
    answered_by: f.AnsweredBy
    sealed: f.SealedText
    masked: f.Masked
    media_count: f.MediaCount
    cause: Cause
