"""Family `requests`: what teams ask for on the request topics, plain JSON or CloudEvents 1.0, structured or binary."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from app import clock
from app.domain.content.segments import with_link
from app.domain.model.vocabulary import Category, Priority
from app.records.codec import InvalidFieldError, decode, decode_tolerant

MAX_VALUE_BYTES = 900_000
MAX_BODY = 1600  # Twilio error 21617
MAX_MEDIA = 10
MAX_RECIPIENTS = 1000
MAX_METADATA = 50
MAX_URL = 2048
MAX_ADDRESS = 100
# A message is copied to its recipient's row, log and outcome: what one request may become is bounded by these two (see
# ops/bench/amplification). The longest text of four-byte characters with 1.6 kB beside it may go to the most people.
MAX_METADATA_BYTES = 16_000
MAX_FAN_OUT_BYTES = 8_000_000
FANNED_OUT = "body, media, media_fallback, metadata, campaign, id and idempotency_key"

Aware = Annotated[datetime, Meta(tz=True)]
Short = Annotated[str, Meta(min_length=1, max_length=200)]
# Names come back in outcomes, logs of teams and commands: what acts on a terminal or ends a line is refused in them. A
# lookahead, for in Python `$` stands before a last line feed, too.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
CONTROL_RULE = "holds control characters"
_SEEN = {"pattern": r"^(?![\s\S]*[\u0000-\u001f\u007f-\u009f])"}
OwnId = Annotated[Short, Meta(description="The producer's own id of the event.", extra_json_schema=_SEEN)]
When = Annotated[
    Aware,
    Meta(description="When the event was made, for readers of the topic: deadlines count from the log's own time."),
]
# Of a record on the shared topic that names no tenant.
DEFAULT_TENANT = "default"
# Rules of `tenant` that follow from the topic.
FOREIGN_TENANT = "is not the tenant of this topic"
NOT_SHARED = "takes requests from its own topic only (shared_requests in the tenants file)"
Owner = Annotated[
    Short,
    Meta(
        description="The tenant that asks. On a tenant's own topic and over HTTP it is that tenant, and naming another "
        f"is refused; without it on the shared topic: {DEFAULT_TENANT}."
    ),
]
# What `_check` refuses, as far as a schema can say it.
Recipient = Annotated[str, Meta(extra_json_schema={"maxLength": MAX_ADDRESS})]
Several = Annotated[list[Recipient], Meta(extra_json_schema={"minItems": 1})]
Media = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"pattern": "^https://", "maxLength": MAX_URL})]],
    Meta(description="https URLs that Twilio can fetch.", extra_json_schema={"maxItems": MAX_MEDIA}),
]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64, extra_json_schema=_SEEN)], Annotated[str, Meta(max_length=500)]],
    Meta(
        description="The caller's own; comes back in the outcome. Names and values have at most "
        f"{MAX_METADATA_BYTES:,} bytes of UTF-8 in all.",
        extra_json_schema={"maxProperties": MAX_METADATA},
    ),
]
MediaFallback = Annotated[
    str,
    Meta(
        description="An https URL that anybody may open, none of the media: where media cannot be received, the text "
        "goes with this link. Both have at most 1,600 characters.",
        extra_json_schema={"pattern": "^(https://\\S+)?$", "maxLength": MAX_URL},
    ),
]
CONTENT_RULE = {
    "anyOf": [
        {"required": ["body"], "properties": {"body": {"pattern": "\\S"}}},
        {"required": ["media"], "properties": {"media": {"minItems": 1}}},
    ]
}


class NotifyRequested(msgspec.Struct, frozen=True, kw_only=True, tag="notify.requested.v1", tag_field="type"):
    """A notify event: text these people. Smallest form: type, to, body. Times carry an offset; unknown fields are
    ignored; the whole value has at most 900,000 bytes."""

    to: Annotated[
        Recipient | Several,
        Meta(
            description="One number, or up to 1,000: + and country code, in plain text. Recipients times the bytes of "
            f"{FANNED_OUT} (UTF-8) are at most {MAX_FAN_OUT_BYTES:,}."
        ),
    ]
    id: OwnId | None = None
    at: When | None = None
    tenant: Owner = msgspec.field(default_factory=str)
    idempotency_key: (
        Annotated[Short, Meta(description="Same key, tenant and number: the same message.", extra_json_schema=_SEEN)]
        | None
    ) = None
    body: Annotated[str, Meta(description="The text.", extra_json_schema={"maxLength": MAX_BODY})] = ""
    media: Media = []
    media_fallback: MediaFallback = ""
    category: Category = Category.TRANSACTIONAL
    priority: Priority = Priority.NORMAL
    sender: Annotated[Short, Meta(description="A lane of the tenant; without it the tenant's first.")] | None = None
    send_at: Annotated[Aware, Meta(description="Not before.")] | None = None
    expires_at: Annotated[Aware, Meta(description="Not after; without it by category.")] | None = None
    fallback: Annotated[
        list[Any],
        Meta(description="Other channels: not supported yet, so it must be empty.", extra_json_schema={"maxItems": 0}),
    ] = []
    campaign: Annotated[
        str, Meta(max_length=200, description="Comes back in the outcome.", extra_json_schema=_SEEN)
    ] = ""
    metadata: Metadata = {}


MessageId = Annotated[str, Meta(pattern=r"^[0-9a-f]{20}-[0-9a-f]{20}$", description="The message to withdraw.")]
MESSAGE_ID = re.compile(r"[0-9a-f]{20}-[0-9a-f]{20}\Z")


class NotifyCanceled(msgspec.Struct, frozen=True, kw_only=True, tag="notify.canceled.v1", tag_field="type"):
    """A message is withdrawn, if it has not left."""

    message_id: MessageId
    id: OwnId | None = None
    at: When | None = None
    tenant: Owner = msgspec.field(default_factory=str)


NotifyRequest = NotifyRequested | NotifyCanceled
Headers = Iterable[tuple[str, bytes | None]]
_decoder = msgspec.json.Decoder(NotifyRequest)
# Values stay as they were written: a field that nobody reads may hold what Python cannot, such as 1e400.
raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CE_NAMES = {"id": "id", "time": "at", "type": "type"}


class ParsedRequest(NamedTuple):
    """A request, and `warnings` of what was replaced in its value to read it."""

    request: NotifyRequest
    warnings: tuple[str, ...] = ()


def read_request(value: bytes | None, headers: Headers = ()) -> NotifyRequest:
    """The request in a record, see `parse_request`."""
    return parse_request(value, headers).request


def parse_request(value: bytes | None, headers: Headers = (), owner: str = DEFAULT_TENANT) -> ParsedRequest:
    """The request in a record. A byte order mark or a schema registry's prefix before the JSON is skipped. `owner`: the
    tenant of one that names none.

    Raises Unreadable(field, rule) and nothing else; then `loose_requests` may still tell whose it was.
    """
    if not value:
        raise InvalidFieldError("value", "must not be empty")
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidFieldError("value", f"is longer than {MAX_VALUE_BYTES} bytes")
    event = event_headers(headers)
    request, warnings = decode_tolerant(lambda text: _parse(text, event), value)
    return ParsedRequest(request if request.tenant else msgspec.structs.replace(request, tenant=owner), warnings)


def _parse(text: bytes, event: Mapping[str, bytes]) -> NotifyRequest:
    request: NotifyRequest = decode(_decoder, unwrapped(text, event))
    _check_names(request)
    if isinstance(request, NotifyRequested):
        _check(request)
    return request


def event_headers(headers: Headers) -> dict[str, bytes]:
    """The attributes of a CloudEvent in binary mode by their `ce_` names; without `ce_specversion` it is none."""
    if not headers:
        return {}
    found = {name: value for name, value in headers if value is not None and name.startswith("ce_")}
    return found if "ce_specversion" in found else {}


def unwrapped(text: bytes, event: Mapping[str, bytes]) -> bytes:
    """CloudEvents to our own form: structured mode holds our fields in `data`, binary mode attributes in headers."""
    if not event and b'"specversion"' not in text:
        return text
    whole: dict[str, Any] = decode(raw_object, text)
    if "specversion" in whole:
        data = bytes(whole.get("data", b""))
        if not data.startswith(b"{"):
            raise InvalidFieldError("data", "must be an object")
        return msgspec.json.encode({**_attributes(whole), **decode(raw_object, data)})
    given = {name.removeprefix("ce_"): value.decode("utf-8", "replace") for name, value in event.items()}
    return msgspec.json.encode({**_attributes(given), **whole})


def _attributes(event: Mapping[str, Any]) -> dict[str, Any]:
    return {ours: event[theirs] for theirs, ours in _CE_NAMES.items() if theirs in event}


def _check_names(request: NotifyRequest) -> None:
    """Raises Unreadable for control characters in a name of the producer's own."""
    names = {"id": request.id}
    if isinstance(request, NotifyRequested):
        names |= {"idempotency_key": request.idempotency_key, "campaign": request.campaign}
    for field, name in names.items():
        if name and CONTROL.search(name):
            raise InvalidFieldError(field, CONTROL_RULE)


def _check(request: NotifyRequested) -> None:
    """Raises Unreadable for the first rule that is broken: content, then options, then recipients."""
    _check_content(request)
    if request.fallback:
        raise InvalidFieldError("fallback", "is not supported yet: no other channel would be tried")
    if request.send_at and request.expires_at and request.expires_at <= request.send_at:
        raise InvalidFieldError("expires_at", "is not after send_at")
    if (rule := metadata_rule(request.metadata)) is not None:
        raise InvalidFieldError("metadata", rule)
    _check_recipients(request)


def _check_content(request: NotifyRequested) -> None:
    if not request.body.strip() and not request.media:
        raise InvalidFieldError("body", "is empty and there is no media")
    if len(request.body) > MAX_BODY:
        raise InvalidFieldError("body", f"is longer than {MAX_BODY} characters")
    if len(request.media) > MAX_MEDIA:
        raise InvalidFieldError("media", f"has more than {MAX_MEDIA} entries")
    for index, url in enumerate(request.media):
        if not url.startswith("https://"):
            raise InvalidFieldError(f"media[{index}]", "is not an https URL")
        if len(url) > MAX_URL:
            raise InvalidFieldError(f"media[{index}]", f"is longer than {MAX_URL} characters")
    if (rule := _link_rule(request)) is not None:
        raise InvalidFieldError("media_fallback", rule)


def _check_recipients(request: NotifyRequested) -> None:
    recipients = recipients_of(request)
    if not recipients:
        raise InvalidFieldError("to", "must name at least one recipient")
    if len(recipients) > MAX_RECIPIENTS:
        raise InvalidFieldError("to", f"names more than {MAX_RECIPIENTS} recipients")
    for index, raw in enumerate(recipients):
        if len(raw) > MAX_ADDRESS:
            field = "to" if isinstance(request.to, str) else f"to[{index}]"
            raise InvalidFieldError(field, f"is longer than {MAX_ADDRESS} characters")
    if len(recipients) * content_bytes(request) > MAX_FAN_OUT_BYTES:
        what = f"its recipients times the bytes of {FANNED_OUT}"
        raise InvalidFieldError("to", f"names too many recipients: {what} are more than {MAX_FAN_OUT_BYTES}")


def content_bytes(request: NotifyRequested) -> int:
    """Bytes of UTF-8 that each recipient's message holds, sealed: see `FANNED_OUT`."""
    names = (request.id or "", request.idempotency_key or "", request.campaign)
    metadata = (*request.metadata, *request.metadata.values())
    return sum(map(utf8_bytes, (request.body, request.media_fallback, *request.media, *names, *metadata)))


def utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def metadata_rule(metadata: Mapping[str, str]) -> str | None:
    """The rule that the metadata break as a whole, None if they break none."""
    if len(metadata) > MAX_METADATA:
        return f"has more than {MAX_METADATA} entries"
    if sum(map(utf8_bytes, (*metadata, *metadata.values()))) > MAX_METADATA_BYTES:
        return f"has more than {MAX_METADATA_BYTES} bytes in all"
    if any(map(CONTROL.search, metadata)):
        return f"has a name that {CONTROL_RULE}"
    return None


def _link_rule(request: NotifyRequested) -> str | None:
    link = request.media_fallback
    if not link:
        return None
    if not link.startswith("https://") or len(link) == len("https://") or any(map(str.isspace, link)):
        return "is not an https URL"
    if len(link) > MAX_URL:
        return f"is longer than {MAX_URL} characters"
    if link in request.media:
        return "is one of the media: the link must be one that anybody may open"
    text = with_link(request.body, link)
    return f"makes the text longer than {MAX_BODY} characters" if len(text) > MAX_BODY else None


def recipients_of(request: NotifyRequested) -> tuple[str, ...]:
    """Every recipient once, in order."""
    return tuple(dict.fromkeys([request.to] if isinstance(request.to, str) else request.to))


def payload_fields(request: NotifyRequested) -> tuple[str, ...]:
    """What makes two requests under one key the same: what would be sent, from where, and at which instant."""
    # The distance from the epoch: a time at the ends of the calendar has no form in UTC, yet has a distance.
    times = [str(t - clock.EPOCH) if t else "" for t in (request.send_at, request.expires_at)]
    return request.body, *request.media, request.sender or "", request.category, *times, request.media_fallback or ""
