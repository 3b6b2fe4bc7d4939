"""Decoding with the fault named: the field by its path, and the rule it breaks."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from app.domain.content import surrogates
from app.errors import HeliographError

T = TypeVar("T")
# A path or a rule may repeat what a producer nested; both travel in records.
MAX_FIELD, MAX_RULE = 200, 500
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Magic byte 0 and a schema id of 4 bytes stand before the JSON that a schema registry's serializer writes.
_REGISTRY_MAGIC, _REGISTRY_PREFIX = b"\0", 5

_PATH = re.compile(r" - at (?P<key>`key` in )?`\$\.?(?P<path>[^`]*)`$")
# The only messages of msgspec that quote what they found: a word outside a closed list, and a `type` that is not known.
_QUOTING = ("invalid enum value ", "invalid value ")


class InvalidFieldError(HeliographError):
    """`field`: a path such as `to[3]`, "value" for the whole value; `rule` says what it breaks, without its content."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field, self.rule = field, rule


class InvalidJsonError(InvalidFieldError):
    """The value is not JSON in UTF-8."""

    def __init__(self) -> None:
        super().__init__("value", "is not JSON in UTF-8")


def json_text(value: bytes) -> bytes:
    """The JSON of a value, without a schema registry's prefix and without a byte order mark."""
    if value.startswith(_REGISTRY_MAGIC):
        value = value[_REGISTRY_PREFIX:]
    return value.removeprefix(_BYTE_ORDER_MARK)


def decode_tolerant(read: Callable[[bytes], T], value: bytes) -> tuple[T, tuple[str, ...]]:
    """What `read` makes of the JSON in a value, and warnings of what was replaced to read it.

    `read` raises InvalidJsonError for lone surrogates, which JavaScript and Java write in strings that were cut: it is
    called again with U+FFFD in their place, and its error passes if there was none.
    """
    text = json_text(value)
    try:
        return read(text), ()
    except InvalidJsonError:
        replaced = surrogates.replace_lone_surrogates(text)
        if replaced == text:
            raise
    return read(replaced), (surrogates.WARNING,)


def decode(decoder: "msgspec.json.Decoder[Any]", value: bytes | None) -> Any:
    """The record. Raises InvalidJsonError, or Unreadable for what breaks the schema or nests too deep."""
    if value is None:
        raise InvalidFieldError("value", "must not be empty")
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise fault(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidJsonError from None
    except RecursionError:
        raise InvalidFieldError("value", "nests too deep") from None


def fault(error: msgspec.ValidationError) -> InvalidFieldError:
    """msgspec's message as field and rule; what it quotes of the content goes."""
    text = str(error)
    match = _PATH.search(text)
    missing = re.search(r"required field `(\w+)`", text)
    path = match["path"] if match else ""
    if missing:
        return InvalidFieldError(f"{path[:MAX_FIELD]}.{missing[1]}".lstrip("."), "is required")
    rule = text[: match.start()] if match else text
    rule = rule[:1].lower() + rule[1:]
    if rule.startswith(_QUOTING):
        rule = "is not one of the known values"
    return InvalidFieldError(
        path[:MAX_FIELD] or "value", (f"key: {rule}" if match and match["key"] else rule)[:MAX_RULE]
    )
