"""Requests that break a rule, read as far as possible: enough to reject each of their messages by its id."""

from collections.abc import Mapping

import msgspec

from app.domain.content.surrogates import replace_lone_surrogates
from app.records.codec import InvalidFieldError, decode, json_text
from app.records.requests import (
    DEFAULT_TENANT,
    MAX_ADDRESS,
    MAX_FAN_OUT_BYTES,
    MAX_RECIPIENTS,
    MAX_VALUE_BYTES,
    Headers,
    Metadata,
    event_headers,
    metadata_rule,
    raw_object,
    unwrapped,
    utf8_bytes,
)

# A list with more commas names too many, however often it repeats some: an entry that is no text costs 2 us.
MOST_COMMAS = 4 * MAX_RECIPIENTS
_list = msgspec.json.Decoder(list[msgspec.Raw])
_string_decoder, _metadata_decoder = msgspec.json.Decoder(str), msgspec.json.Decoder(Metadata)


class PartialRequest(msgspec.Struct, frozen=True):
    """What can still be told of a request that breaks a rule: enough to reject each message by its id."""

    tenant: str
    recipients: tuple[str, ...]
    idempotency_key: str
    campaign: str
    metadata: dict[str, str] = {}
    request_id: str = ""


def read_loosely(
    value: bytes | None, headers: Headers, place: str, owner: str = DEFAULT_TENANT
) -> PartialRequest | None:
    """Whose the unreadable request was, None if that cannot be told (no JSON object, no `to`, too many).

    Args:
        place: of the record, in place of a key.
        owner: the tenant of one that names none.
    """
    if value is None or len(value) > MAX_VALUE_BYTES:
        return None
    try:
        text = unwrapped(replace_lone_surrogates(json_text(value)), event_headers(headers))
        whole: dict[str, msgspec.Raw] = decode(raw_object, text)
    except InvalidFieldError:
        return None
    recipients = _recipients(whole.get("to"))
    if not recipients or len(recipients) > MAX_RECIPIENTS or _text(whole, "type") != "notify.requested.v1":
        return None
    key = _text(whole, "idempotency_key") or _text(whole, "id") or place
    tenant, campaign = _text(whole, "tenant") or owner, _text(whole, "campaign")
    metadata = _metadata(whole)
    # Each recipient's outcome repeats them, so what may not be asked for is not given back either.
    if len(recipients) * sum(map(utf8_bytes, (*metadata, *metadata.values()))) > MAX_FAN_OUT_BYTES:
        metadata = {}
    return PartialRequest(tenant, recipients, key, campaign, metadata, _text(whole, "id"))


def _recipients(raw: msgspec.Raw | None) -> tuple[str, ...]:
    """Every text that is named, once, in order. What is no text, or longer than an address may be, is left out: nothing
    could be said of it but that. None of a list that is far too long."""
    if raw is None or bytes(raw).count(b",") > MOST_COMMAS:
        return ()
    try:
        listed = decode(_list, bytes(raw)) if bytes(raw).startswith(b"[") else [raw]
    except InvalidFieldError:
        return ()
    return tuple(dict.fromkeys(text for item in listed if 0 < len(text := _string(item)) <= MAX_ADDRESS))


def _metadata(whole: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    """As it is if it breaks no rule itself, else none."""
    try:
        found: dict[str, str] = decode(_metadata_decoder, bytes(whole.get("metadata", b"{}")))
    except InvalidFieldError:
        return {}
    return found if metadata_rule(found) is None else {}


def _text(whole: Mapping[str, msgspec.Raw], name: str) -> str:
    return _string(whole.get(name, b""))[:200]


def _string(raw: msgspec.Raw | bytes) -> str:
    """The text that a JSON value is, or "" if it is anything else."""
    try:
        found: str = decode(_string_decoder, bytes(raw))
    except InvalidFieldError:
        return ""
    return found
