"""What `notify.updates` answers to one request: which message stands for it, and under which record key.

A request is answered once per recipient: `opened`, `repeated` (the same key and payload before) or `conflicted` (the
same key with another payload). A conflict is about the request, not about the message that the key names: its record is
keyed by the request's id, so that a table keyed by message never takes the conflict for the state of that message.
"""

import re
from collections.abc import Iterator
from uuid import UUID

from app.domain import events as e
from app.domain.contact import Message
from app.domain.inputs import Input, Rejected, Requested

# As many digits in a row as a phone number may have without its country code.
_NUMBER = re.compile(r"\d(?:[ .()\-]*\d){6}")


def answer_fields(event: e.Event, parsed: Input, message: Message | None) -> Iterator[tuple[str, object]]:
    """Fields of the update that only an answer to a request has: none for other events."""
    if not isinstance(event, e.MessageOpened | e.RequestRepeated | e.RequestConflicted):
        return
    assert isinstance(parsed, Requested | Rejected), "only a request is answered"
    yield "request_id", parsed.request_id or parsed.source
    yield "idempotency_key", parsed.idempotency_key
    yield "masked", parsed.masked
    if isinstance(event, e.MessageOpened) and isinstance(parsed, Requested):
        yield "request_digest", parsed.fingerprint
    if isinstance(event, e.RequestConflicted):
        yield from (("event", "conflicted"), ("state", "conflict"), ("reason", "conflict"))
    if isinstance(event, e.RequestRepeated):
        state = (message.word or message.stage) if message else ""
        yield from (("event", "repeated"), ("state", str(state)), ("reason", "requested"))


def record_key(event: e.Event, parsed: Input, message_id: str) -> str:
    """The message's id; of a conflict the request's id, or its place where that id may hold a phone number (P8)."""
    if not isinstance(event, e.RequestConflicted):
        return message_id
    assert isinstance(parsed, Requested | Rejected), "only a request is answered"
    named = parsed.request_id
    return named if named and not _may_hold_number(named) else parsed.source


def _may_hold_number(text: str) -> bool:
    return not _is_uuid(text) and _NUMBER.search(text) is not None


def _is_uuid(text: str) -> bool:
    try:
        return text.lower() in (str(UUID(text)), UUID(text).hex)
    except ValueError:
        return False
