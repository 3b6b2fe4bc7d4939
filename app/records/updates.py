"""Family `updates`: one transition of a message and its reason, on `notify.updates`."""

import msgspec

from app.records.envelope import Cause


class NotifyUpdated(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="notify.updated.v1", tag_field="type"
):
    """`event` is the domain's word for what happened; `state` the stage, progress or outcome it led to.

    `request_to_create_ms` (with event taken) and `create_to_delivered_ms` (with delivered) are durations in ms.
    """

    id: str
    at: str
    at_ms: int
    tenant: str
    message_id: str
    event: str
    state: str
    reason: str
    cause: Cause
    attempt: int = 0
    error_class: str = ""
    error_code: int | None = None
    provenance: str = ""
    country: str = ""
    lane: str = ""
    category: str = ""
    priority: str = ""
    segments: int = 0
    revision: int = 0
    request_to_create_ms: int | None = None
    create_to_delivered_ms: int | None = None
