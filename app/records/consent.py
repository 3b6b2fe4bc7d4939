"""Family `consent`: the audit of every change, on `notify.consent`, kept for ever."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f
from app.records.envelope import Cause

STATES = ["opted_in", "opted_out"]
SOURCES = ["keyword", "opt_out_type", "twilio_21610", "twilio_30004", "twilio_30640"]


class NotifyConsentChanged(
    msgspec.Struct, frozen=True, kw_only=True, tag="notify.consent_changed.v1", tag_field="type"
):
    """A person's consent after a STOP, a START or Twilio's word that they opted out, with its evidence.

    `changed` is false when it confirmed what was so already; `message_sid` names the text, if any.
    """

    id: f.Id
    at: f.Iso
    tenant: f.Tenant
    contact_id: f.ContactId
    state: Annotated[str, Meta(description="What holds from here.", extra_json_schema={"enum": STATES})]
    source: Annotated[str, Meta(description="How it was learnt.", extra_json_schema={"enum": SOURCES})]
    changed: bool
    received_at: f.Iso
    logged_at: f.Iso
    message_sid: f.Sid
    masked: f.Masked
    cause: Cause
    message_id: Annotated[
        str,
        Meta(
            description="The message whose answer or report told it; empty: a text from the person.",
            extra_json_schema={"pattern": "^([0-9a-f]{20}-[0-9a-f]{20})?$"},
        ),
    ] = ""
    rule: f.IntentRule = ""


class NotifyInboundOpened(msgspec.Struct, frozen=True, kw_only=True, tag="notify.inbound_opened.v1", tag_field="type"):
    """Somebody was shown what a person wrote, as it came: evidence of a consent, or any text."""

    id: f.Id
    at: f.Iso
    tenant: f.Tenant
    contact_id: f.ContactId
    message_sid: f.Sid
    by: f.By
    os_user: f.OsUser = ""
    sudo_user: f.SudoUser = ""


class NotifyMessageOpened(msgspec.Struct, frozen=True, kw_only=True, tag="notify.message_opened.v1", tag_field="type"):
    """Somebody was shown number and text of a message of ours."""

    id: f.Id
    at: f.Iso
    tenant: f.Tenant
    contact_id: f.ContactId
    message_id: f.MessageId
    by: f.By
    os_user: f.OsUser = ""
    sudo_user: f.SudoUser = ""


class NotifyTextsOpened(msgspec.Struct, frozen=True, kw_only=True, tag="notify.texts_opened.v1", tag_field="type"):
    """Somebody was shown numbers and texts as Twilio keeps them: of one message, or of a list."""

    id: f.Id
    at: f.Iso
    tenant: f.Tenant
    message_sid: Annotated[f.Sid, Meta(description="The message that was shown; empty: a list.")]
    by: f.By
    os_user: f.OsUser = ""
    sudo_user: f.SudoUser = ""
