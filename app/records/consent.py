"""Family `consent`: the audit of every change, on `notify.consent`, kept for ever."""

import msgspec

from app.records.envelope import Cause


class NotifyConsentChanged(
    msgspec.Struct, frozen=True, kw_only=True, tag="notify.consent_changed.v1", tag_field="type"
):
    """`state`: opted_out or opted_in; `source`: keyword, opt_out_type or twilio_21610; `changed` is False when a STOP
    or START confirmed what was so already; `message_sid` names the text, if any."""

    id: str
    at: str
    tenant: str
    contact_id: str
    state: str
    source: str
    changed: bool
    received_at: str
    logged_at: str
    message_sid: str
    masked: str
    cause: Cause
