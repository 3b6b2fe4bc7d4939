"""Whether a row that a checkpoint carries can be one of ours: what every other row is by the way it came about."""

from typing import Any

import msgspec

from app.domain.model.contact import Contact, Message
from app.domain.model.schema_fields import LARGEST
from app.domain.model.vocabulary import Stage


def row_fault(contact_id: str, row: Contact) -> str:
    """The rule that the row breaks, "" if none. A row that breaks one would make later folds and timers raise."""
    if any(not _is_sound(f"{contact_id}-{key}", message) for key, message in row.messages.items()):
        return "holds a message that cannot be"
    return "" if _in_bounds(msgspec.to_builtins(row)) else "holds a number that is too large"


def _is_sound(message_id: str, message: Message) -> bool:
    numbers = [attempt.n for attempt in message.attempts]
    if message.id != message_id or numbers != sorted({n for n in numbers if n > 0}):
        return False
    if message.stage is Stage.FINAL:
        return message.policy is not None or not message.attempts
    return message.policy is not None and (bool(numbers) or message.stage is not Stage.FLYING)


def _in_bounds(value: Any) -> bool:
    match value:
        case dict():
            return all(_in_bounds(one) for one in value.values())
        case list() | tuple():
            return all(_in_bounds(one) for one in value)
        case int():
            return abs(value) <= LARGEST
        case _:
            return True
