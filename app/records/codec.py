"""Decoding with the fault named: the field by its path, and the rule it breaks."""

import re
from typing import Any

import msgspec

_PATH = re.compile(r" - at (?P<key>`key` in )?`\$\.?(?P<path>[^`]*)`$")
# The only messages of msgspec that quote what they found: a word outside a closed list, and a `type` that is not known.
_QUOTING = ("invalid enum value ", "invalid value ")


class Unreadable(Exception):
    """`field`: a path such as `to[3]`, "value" for the whole value; `rule` says what it breaks, without its content."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
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
    """msgspec's message as field and rule; what it quotes of the content goes."""
    text = str(error)
    match = _PATH.search(text)
    missing = re.search(r"required field `(\w+)`", text)
    path = match["path"] if match else ""
    if missing:
        return Unreadable(f"{path}.{missing[1]}".lstrip("."), "is required")
    rule = text[: match.start()] if match else text
    rule = rule[:1].lower() + rule[1:]
    if rule.startswith(_QUOTING):
        rule = "is not one of the known values"
    return Unreadable(path or "value", f"key: {rule}" if match and match["key"] else rule)
