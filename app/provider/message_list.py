"""Twilio's list of texts, page by page: what was sent and received, in our words.

It is asked by recipient (newest first) or by when texts were sent. As Twilio has it, a text that waits in its queue has
no DateSent and is found by recipient alone.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Protocol

import aiohttp
import msgspec

from app import telemetry
from app.domain.content.surrogates import replace_lone_surrogates
from app.domain.model.vocabulary import DeliveryStatus, ErrorClass
from app.provider.http import Flight, PooledHttpClient, current_flight
from app.provider.status_mapping import PROGRESS, code_of, error_class

log = telemetry.logger(__name__)

PAGE_SIZE = 1000
# A page of a thousand texts is slower to make than one text to take.
PAGE_S = 30.0


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """`to`: a recipient, "" for all; `sent_from_ms`, `sent_until_ms`: when it was sent, whole seconds, both ends in."""

    to: str = ""
    sent_from_ms: int | None = None
    sent_until_ms: int | None = None

    def __repr__(self) -> str:
        return "<Query>"


class ListedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A text on the list. `sender`: "" until a service chose one; `progress`: None for a text that came in."""

    sid: str
    to: str
    sender: str
    service: str
    body: str
    media: int
    inbound: bool
    by_api: bool
    status: str
    progress: DeliveryStatus | None
    code: int | None
    error: ErrorClass | None
    created_ms: int

    def __repr__(self) -> str:
        return "<Found>"


class MessagePage(msgspec.Struct, frozen=True, kw_only=True):
    """`after`: what to ask for the next page with, "" if this is the last. `whole`: every text on it could be read."""

    texts: tuple[ListedMessage, ...]
    after: str
    whole: bool = True

    def reaches(self, before_ms: int) -> bool:
        """Whether it goes back beyond that time, so that later pages, which are older still, need not be asked for."""
        return bool(self.texts) and self.texts[-1].created_ms < before_ms


class PageUnavailable(msgspec.Struct, frozen=True, kw_only=True):
    """Twilio did not answer, or not with a page."""

    why: str
    http_status: int = 0


class MessageList(Protocol):
    """What one tenant's account holds."""

    async def page(self, query: Query, after: str = "") -> MessagePage | PageUnavailable:
        """A page of what `query` asks for, or the one after."""
        ...


class _MessageResource(msgspec.Struct, frozen=True, kw_only=True):
    sid: str
    status: str
    date_created: str
    direction: str = ""
    to: str | None = None
    from_: str | None = msgspec.field(name="from", default=None)
    messaging_service_sid: str | None = None
    body: str | None = None
    num_media: str | None = None
    error_code: int | None = None


class _Content(msgspec.Struct, frozen=True):
    messages: list[msgspec.Raw]
    next_page_uri: str | None = None


_decode = msgspec.json.Decoder(_Content).decode
_decode_resource = msgspec.json.Decoder(_MessageResource).decode
# What reading an answer raises that is none of Twilio's, or holds a number or a date that cannot be.
_UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)


async def ask_page(
    http: PooledHttpClient, account_sid: str, query: Query, after: str = ""
) -> MessagePage | PageUnavailable:
    """One page of what `query` asks for, or the one after. Never raises for what the network or Twilio does."""
    flight = Flight(lambda: None, PAGE_S)
    current_flight.set(flight)
    uri, params = after, {}
    if not after:
        uri, params = f"/2010-04-01/Accounts/{account_sid}/Messages.json", _params(query)
    try:
        answer = await http.request("GET", uri, params=params)
        if answer.status_code != 200:
            return PageUnavailable(why=f"http {answer.status_code}", http_status=answer.status_code)
        content = _content(answer.text)
        texts = tuple(text for raw in content.messages if (text := _text(raw)) is not None)
        whole = len(texts) == len(content.messages)
        page = MessagePage(texts=texts, after=_local(content.next_page_uri or ""), whole=whole)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return PageUnavailable(why=type(error).__name__, http_status=flight.status)
    except _UNREADABLE:
        return PageUnavailable(why="unreadable page", http_status=flight.status)
    return page


def _text(raw: msgspec.Raw) -> ListedMessage | None:
    """One text; None if it cannot be read, which is no reason to lose the page that it is on."""
    try:
        return _found(_decode_resource(raw))
    except _UNREADABLE as error:
        log.warning("list.text_unreadable", error=type(error).__name__)
        return None


def _content(text: str) -> _Content:
    """A text that came in may hold lone surrogates: no reason to lose the page that it is on."""
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return _decode(replace_lone_surrogates(text.encode()))


def _local(uri: str) -> str:
    """A next page is asked of the same server, or not at all."""
    if uri and not uri.startswith("/2010-04-01/"):
        raise ValueError("a next page elsewhere")
    return uri


def _params(query: Query) -> dict[str, str]:
    given = {"PageSize": str(PAGE_SIZE)}
    if query.to:
        given["To"] = query.to
    if query.sent_from_ms is not None:
        given["DateSent>"] = _second(query.sent_from_ms)
    if query.sent_until_ms is not None:
        given["DateSent<"] = _second(query.sent_until_ms)
    return given


def _second(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _found(resource: _MessageResource) -> ListedMessage:
    inbound, code = resource.direction == "inbound", code_of(resource.error_code)
    media = resource.num_media or "0"
    return ListedMessage(
        sid=resource.sid,
        to=resource.to or "",
        sender=resource.from_ or "",
        service=resource.messaging_service_sid or "",
        body=resource.body or "",
        media=int(media) if media.isdecimal() and len(media) < 6 else 0,
        inbound=inbound,
        by_api=resource.direction == "outbound-api",
        status=resource.status,
        progress=None if inbound else PROGRESS.get(resource.status),
        code=code,
        error=error_class(code) if code else None,
        created_ms=_ms(resource.date_created),
    )


@lru_cache(maxsize=4096)
def _ms(rfc2822: str) -> int:
    return int(parsedate_to_datetime(rfc2822).timestamp() * 1000)
