"""What a provider is to us: one create call, and what came of it as a value. An exception is a bug."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass, LineType


class CreateRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One text to send. `messaging_service_sid` or `from_number`, or both: that sender of the service; `validity_s` 1
    to 36000; `send_at_ms`: when Twilio sends it, 0: now. The rest are Twilio's parameters of the same names, not sent
    if "" or None."""

    to: str
    body: str
    media: tuple[str, ...]
    status_callback: str
    messaging_service_sid: str
    from_number: str
    validity_s: int
    send_at_ms: int = 0
    content_retention: str = ""
    address_retention: str = ""
    smart_encoded: bool | None = None
    shorten_urls: bool | None = None
    risk_check: str = ""
    message_intent: str = ""
    application_sid: str = ""
    provide_feedback: bool | None = None
    max_price: float | None = None

    def __repr__(self) -> str:
        return "<Create>"


class CreateAccepted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Twilio accepted the text and gave it a SID."""

    sid: str
    progress: DeliveryStatus
    segments: int


class CreateRejected(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Proved not sent: refused, or no connection was made (`http_status` 0). `invalid_after`, `hold_until_ms`: see
    `provider.stamps`."""

    code: int | None
    error: ErrorClass
    http_status: int
    retry_after_ms: int | None = None
    invalid_after: int = 0
    hold_until_ms: int = 0


class CreateUnknown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The request may have left and nothing says what became of it."""

    why: str
    http_status: int = 0


class CancelResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Twilio's word on a text that it is to cancel: `done`, or it was sent already, or is not there."""

    done: bool
    code: int | None = None


class CreateNotSent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last check forbade the call before a byte of it left."""

    why: str


Result = CreateAccepted | CreateRejected | CreateUnknown | CreateNotSent
LastCheck = Callable[[], str | None]


class Provider(Protocol):
    """Sends for one tenant."""

    async def create(self, call: CreateRequest, last_check: LastCheck) -> Result:
        """Send one text. `last_check` is asked when the connection is in hand: a reason abandons the call."""
        ...

    async def line_type(self, number: str) -> LineType | None:
        """What kind of line it is; None if that cannot be told now."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
