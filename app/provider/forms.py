"""What a webhook carries, read as Twilio writes it: a form, or a JSON object. Anything else is refused."""

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

import msgspec

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 100
MAX_QUERY_BYTES = 8 * 1024
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode

Form = Sequence[tuple[str, str]]


class BadForm(Exception):
    """The body is none that Twilio would send; `status` is the HTTP answer."""

    def __init__(self, status: int, rule: str) -> None:
        super().__init__(rule)
        self.status, self.rule = status, rule


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Fields in order, blanks and repeats kept, strict UTF-8. Raises BadForm (400 or 413)."""
    if len(body) > MAX_BODY_BYTES:
        raise BadForm(413, f"body is longer than {MAX_BODY_BYTES} bytes")
    if body.count(b"&") >= MAX_FIELDS:
        raise _too_many()
    if body.count(b"%") == body.count(b"%2B"):
        return _plain(body)
    if _BAD_PERCENT.search(body):
        raise BadForm(400, "body has a % without two hex digits")
    try:
        return read_query(body.decode("ascii"))
    except UnicodeDecodeError:
        raise _no_text() from None


def _plain(body: bytes) -> list[tuple[str, str]]:
    """Nothing is quoted but the + of numbers, as in nearly every callback: read at a third of the cost."""
    try:
        text = body.decode("ascii").replace("+", " ").replace("%2B", "+")
    except UnicodeDecodeError:
        raise _no_text() from None
    return [
        (name, value) for name, equals, value in [part.partition("=") for part in text.split("&")] if name or equals
    ]


def read_query(text: str) -> list[tuple[str, str]]:
    """As urllib's parse_qsl with blanks kept, at a third of its cost. Raises UnicodeDecodeError."""
    fields = []
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        if "%" in part or "+" in part:
            name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
        fields.append((name, value))
    return fields


def read_json(body: bytes) -> list[tuple[str, str]]:
    """The fields of an object: text as it is, null as "", anything else as its JSON. Raises BadForm (400 or 413)."""
    if len(body) > MAX_BODY_BYTES:
        raise BadForm(413, f"body is longer than {MAX_BODY_BYTES} bytes")
    try:
        fields = [(name, _text(bytes(value))) for name, value in _decode(body).items()]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadForm(400, "body is not a JSON object in UTF-8") from None
    if len(fields) > MAX_FIELDS:
        raise _too_many()
    return fields


def _text(raw: bytes) -> str:
    if raw.startswith(b'"'):
        return _decode_text(raw)
    return "" if raw == b"null" else raw.decode()


def _no_text() -> BadForm:
    return BadForm(400, "body is not a form in UTF-8")


def _too_many() -> BadForm:
    return BadForm(400, f"more than {MAX_FIELDS} fields")
