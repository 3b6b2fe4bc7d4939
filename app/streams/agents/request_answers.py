"""What `notify.updates` answers to one request: which message stands for it, and under which record key.

A request is answered once per recipient: `opened`, `repeated` (the same key and payload before) or `conflicted` (the
same key with another payload). A conflict is about the request, not about the message that the key names: its record is
keyed by the request's id, so that a table keyed by message never takes the conflict for the state of that message.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from app.domain.model import events as e
from app.domain.model.contact import Message
from app.domain.model.inputs import Input, MessageRequested, RequestRejected
from app.records.caller_fields import CallerFields
from app.streams.agents.caller_fields import LEFT_OUT, CallerFieldsReader

# As many digits in a row as a phone number may have without its country code.
_NUMBER = re.compile(r"\d(?:[ .()\-]*\d){6}")


Answer = e.MessageOpened | e.RequestRepeated | e.RequestConflicted


class AnswerRecord(NamedTuple):
    """Of the update that answers a request: its record key, and the fields that only an answer has."""

    key: str
    fields: Mapping[str, object]


def answer_record(
    event: Answer, parsed: Input, message: Message | None, message_id: str, read: CallerFieldsReader
) -> AnswerRecord:
    """The answer to the request that `parsed` is. `message`: which stands for it; `read`: opens what its caller sent
    along. Where that cannot be opened it is left out, and the answer says so."""
    assert isinstance(parsed, MessageRequested | RequestRejected), "only a request is answered"
    caller_fields = read(parsed.sealed_caller_fields, parsed.tenant, parsed.message_id)
    request_id = caller_fields.request_id if caller_fields is not None else ""
    key = _conflict_key(request_id, parsed.source) if isinstance(event, e.RequestConflicted) else message_id
    return AnswerRecord(key, dict(_fields(event, parsed, message, caller_fields)))


def _fields(
    event: Answer,
    parsed: MessageRequested | RequestRejected,
    message: Message | None,
    caller_fields: CallerFields | None,
) -> Iterator[tuple[str, object]]:
    fields = caller_fields or CallerFields("")
    yield "request_id", fields.request_id or parsed.source
    yield "idempotency_key", fields.idempotency_key
    yield "masked", parsed.masked
    warnings = event.warnings if isinstance(event, e.MessageOpened) else ()
    yield "warnings", warnings if caller_fields is not None else (*warnings, LEFT_OUT)
    if isinstance(event, e.MessageOpened) and isinstance(parsed, MessageRequested):
        yield "request_digest", parsed.fingerprint
    if isinstance(event, e.RequestConflicted):
        yield from (("event", "conflicted"), ("state", "conflict"), ("reason", "conflict"))
    if isinstance(event, e.RequestRepeated):
        state = (message.word or message.stage) if message else ""
        yield from (("event", "repeated"), ("state", str(state)), ("reason", "requested"))


def _conflict_key(request_id: str, source: str) -> str:
    """The request's id, or its place (`source`) where that id is not known, or may hold a phone number (P8)."""
    return request_id if request_id and not _may_hold_number(request_id) else source


def _may_hold_number(text: str) -> bool:
    return not _is_uuid(text) and _NUMBER.search(text) is not None


def _is_uuid(text: str) -> bool:
    try:
        return text.lower() in (str(UUID(text)), UUID(text).hex)
    except ValueError:
        return False
