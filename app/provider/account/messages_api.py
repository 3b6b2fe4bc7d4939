"""Texts at Twilio, one by one: read, listed, withdrawn, emptied, deleted."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec

from app import clock
from app.domain.content.surrogates import valid_text
from app.provider.account.sdk_client import SdkClient, asked

MAX_PAGE = 1000


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which texts: by recipient, sender, when they were sent; "" and None: any."""

    to: str = ""
    sender: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __repr__(self) -> str:
        return "<Wish>"


class TwilioMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A text as Twilio keeps it. Times are RFC 3339; `price` as Twilio writes it, "" while it is not known."""

    sid: str
    status: str
    direction: str
    to: str
    sender: str
    service: str
    body: str
    segments: str
    media: str
    error_code: int | None
    price: str
    price_unit: str
    created: str
    sent: str

    def __repr__(self) -> str:
        return f"<Text {self.sid}>"


async def fetch(line: SdkClient, sid: str) -> TwilioMessage:
    """One text as Twilio keeps it. Raises UnansweredCallError."""
    return _text(await asked(line.sdk.messages(sid).fetch_async()))


async def listed(line: SdkClient, wish: MessageFilter, limit: int | None) -> AsyncIterator[TwilioMessage]:
    """The newest first, a page at a time, at most `limit`. Raises UnansweredCallError."""
    given = {"to": wish.to, "from_": wish.sender, "date_sent_after": wish.since, "date_sent_before": wish.until}
    size = min(limit or MAX_PAGE, MAX_PAGE)
    page = await asked(line.sdk.messages.page_async(page_size=size, **{k: v for k, v in given.items() if v}))
    seen = 0
    while page is not None:
        for found in page:
            yield _text(found)
            seen += 1
            if seen == limit:
                return
        page = await asked(page.next_page_async())


async def cancel(line: SdkClient, sid: str) -> TwilioMessage:
    """A scheduled text is not sent. Raises UnansweredCallError (30409: it is too late)."""
    return _text(await asked(line.sdk.messages(sid).update_async(status="canceled")))


async def redact(line: SdkClient, sid: str) -> TwilioMessage:
    """Its body is emptied at Twilio; the rest stays. Raises UnansweredCallError."""
    return _text(await asked(line.sdk.messages(sid).update_async(body="")))


async def delete(line: SdkClient, sid: str) -> None:
    """Nothing stays at Twilio. Raises UnansweredCallError."""
    await asked(line.sdk.messages(sid).delete_async())


def _text(found: Any) -> TwilioMessage:
    return TwilioMessage(
        sid=str(found.sid),
        status=str(found.status),
        direction=str(found.direction),
        to=found.to or "",
        sender=found.from_ or "",
        service=found.messaging_service_sid or "",
        body=valid_text(found.body or ""),
        segments=str(found.num_segments or ""),
        media=str(found.num_media or ""),
        error_code=found.error_code or None,
        price=str(found.price or ""),
        price_unit=str(found.price_unit or ""),
        created=_iso(found.date_created),
        sent=_iso(found.date_sent),
    )


def _iso(at: datetime | None) -> str:
    return clock.iso(int(at.timestamp() * 1000)) if at else ""
