"""Decoding with the fault named: the field by its path, and the rule it breaks."""

import re
from typing import Any

import msgspec

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")


class Unreadable(Exception):
    """`field` is a path such as `to[3]` or "" for the whole value; `rule` says what it breaks, without its content."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field or 'value'}: {rule}")
        self.field, self.rule = field, rule


def decode(decoder: "msgspec.json.Decoder[Any]", value: bytes | None) -> Any:
    """The record. Raises Unreadable for what is no JSON, breaks the schema, or nests too deep."""
    if value is None:
        raise Unreadable("value", "must not be empty")
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise fault(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable("value", "is not JSON in UTF-8") from None
    except RecursionError:
        raise Unreadable("value", "nests too deep") from None


def fault(error: msgspec.ValidationError) -> Unreadable:
    """msgspec's message (it holds no content) as field and rule."""
    text = str(error)
    match = _PATH.search(text)
    missing = re.search(r"required field `(\w+)`", text)
    path = match["path"] if match else ""
    rule = text[: match.start()] if match else text
    if missing:
        return Unreadable(f"{path}.{missing[1]}".lstrip("."), "is required")
    return Unreadable(path, rule[:1].lower() + rule[1:])
