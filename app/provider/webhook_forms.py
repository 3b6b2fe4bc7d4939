"""What a webhook carries, read as Twilio writes it: a form, or a JSON object. Anything else is refused.

A person's text may hold lone surrogates (an emoji that was cut), and a STOP with one counts. A form keeps them, because
Twilio signs what it sends; `fields_of` replaces them in what is read of it.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

import msgspec

from app.domain.content.surrogates import replace_lone_surrogates, valid_text
from app.errors import HeliographError

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 100
MAX_QUERY_BYTES = 8 * 1024
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SURROGATE = re.compile(rb"%[eE][dD]%[a-bA-B]")
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode

Form = Sequence[tuple[str, str]]


class WebhookFormError(HeliographError):
    """The body is none that Twilio would send; `status` is the HTTP answer."""

    def __init__(self, status: int, rule: str) -> None:
        super().__init__(rule)
        self.status, self.rule = status, rule


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Fields in order, blanks and repeats kept, UTF-8 that may hold surrogates. Raises WebhookFormError (400 or
    413)."""
    if len(body) > MAX_BODY_BYTES:
        raise WebhookFormError(413, f"body is longer than {MAX_BODY_BYTES} bytes")
    if body.count(b"&") >= MAX_FIELDS:
        raise _too_many()
    if body.count(b"%") == body.count(b"%2B"):
        return _plain(body)
    if _BAD_PERCENT.search(body):
        raise WebhookFormError(400, "body has a % without two hex digits")
    try:
        text = body.decode("ascii")
        return read_query(text, "surrogatepass") if _SURROGATE.search(body) else read_query(text)
    except UnicodeDecodeError:
        raise _no_text() from None


def fields_of(form: Form) -> dict[str, str]:
    """Each name with its last value, without lone surrogates."""
    fields = dict(form)
    if "".join(fields.values()).isascii() and "".join(fields).isascii():
        return fields
    return {valid_text(name): valid_text(value) for name, value in fields.items()}


def _plain(body: bytes) -> list[tuple[str, str]]:
    """Nothing is quoted but the + of numbers, as in nearly every callback: read at a third of the cost."""
    try:
        text = body.decode("ascii").replace("+", " ").replace("%2B", "+")
    except UnicodeDecodeError:
        raise _no_text() from None
    return [
        (name, value) for name, equals, value in [part.partition("=") for part in text.split("&")] if name or equals
    ]


def read_query(text: str, errors: str = "strict") -> list[tuple[str, str]]:
    """As urllib's parse_qsl with blanks kept, at a third of its cost. `errors`: see `bytes.decode`. Raises
    UnicodeDecodeError."""
    fields = []
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        if "%" in part or "+" in part:
            name, value = unquote_plus(name, errors=errors), unquote_plus(value, errors=errors)
        fields.append((name, value))
    return fields


def read_json(body: bytes) -> list[tuple[str, str]]:
    """The fields of an object: text as it is, null as "", anything else as its JSON. Lone surrogates are replaced, for
    the hash of the body is what is signed. Raises WebhookFormError (400 or 413)."""
    if len(body) > MAX_BODY_BYTES:
        raise WebhookFormError(413, f"body is longer than {MAX_BODY_BYTES} bytes")
    try:
        fields = _object(body)
    except WebhookFormError:
        fields = _object(replace_lone_surrogates(body))
    if len(fields) > MAX_FIELDS:
        raise _too_many()
    return fields


def _object(body: bytes) -> list[tuple[str, str]]:
    try:
        return [(name, _text(bytes(value))) for name, value in _decode(body).items()]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise WebhookFormError(400, "body is not a JSON object in UTF-8") from None


def _text(raw: bytes) -> str:
    if raw.startswith(b'"'):
        return _decode_text(raw)
    return "" if raw == b"null" else raw.decode()


def _no_text() -> WebhookFormError:
    return WebhookFormError(400, "body is not a form in UTF-8")


def _too_many() -> WebhookFormError:
    return WebhookFormError(400, f"more than {MAX_FIELDS} fields")
