"""Family `numbers`: a number that cannot be reached any more, or can again, on `notify.updates`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.model import schema_fields as f
from app.records.envelope import Cause

STATES = ["invalid", "valid"]
REASONS = ["number_invalid", "number_unreachable", "delivered", "texted"]


class NotifyNumberChanged(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="notify.number_changed.v1", tag_field="type"
):
    """A contact's number turned out to be invalid: messages to it are suppressed from here, until a text from it or a
    delivery shows that it is valid after all."""

    id: f.Id
    at: f.Iso
    tenant: f.Tenant
    contact_id: f.ContactId
    state: Annotated[str, Meta(description="What holds from here.", extra_json_schema={"enum": STATES})]
    reason: Annotated[str, Meta(description="How it was learnt.", extra_json_schema={"enum": REASONS})]
    cause: Cause
    error_code: f.Code | None = None
    message_id: Annotated[
        str,
        Meta(
            description="The message that showed it; empty: a text from the person.",
            extra_json_schema={"pattern": "^([0-9a-f]{20}-[0-9a-f]{20})?$"},
        ),
    ] = ""
    masked: Annotated[str, Meta(description="The number as it may be shown, or empty.")] = ""
