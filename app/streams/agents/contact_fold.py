"""What is around `domain.fold`: decode, look up, keep, emit, freeze. It reads nothing but record and rows.

The agent `contacts` runs it in its cycles, a replay over the log alone: there is one way from inputs to rows.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from app import telemetry
from app.domain.fold import Folded, fold
from app.domain.model.contact import Contact, Message
from app.domain.model.frozen_contact import freeze
from app.domain.model.identity import is_contact_id
from app.domain.model.inputs import CheckpointWritten, InputSkipped, LogPosition, MessagesListed
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.row_check import row_fault
from app.domain.model.row_limits import encode_row
from app.domain.rules.placement import own_rows
from app.records.codec import InvalidFieldError as BadRecord
from app.records.codec import decode
from app.records.dead_letters import retried_from
from app.streams.agents.outputs import OutputBuilder
from app.streams.agents.row_guard import RowGuard
from app.streams.engine.agent import UNREADABLE_ROW, FoldScope, Input, Output, TableSpec, UnreadableRecordError

log = telemetry.logger(__name__)

CONTACTS, MESSAGES = "contacts", "messages"
# No writer of ours comes near it (see `records.requests`), and outcomes and message rows that follow from it fit.
MAX_INPUT_BYTES = 900_000
_input = msgspec.json.Decoder(ContactInput)


class RowHead(msgspec.Struct):
    """What is read of an encoded row without the rest. `based_offset`: see `Contact`."""

    watermark: int = -1
    based_offset: int = -1


stand_of = msgspec.json.Decoder(RowHead).decode


def _watermark(row: bytes) -> int:
    try:
        return stand_of(row).watermark
    except UNREADABLE_ROW:
        return -1


_contact = TableSpec(CONTACTS, msgspec.json.Decoder(Contact).decode, encode_row, _watermark, vital=True)
# Written, and acknowledged, before the contact row that the message leaves: the order of `tables`.
_message = TableSpec(MESSAGES, msgspec.json.Decoder(Message).decode, encode_row, _watermark)


class DeadLetterSink(Protocol):
    """Writes the dead letter of a record, payload sealed."""

    def __call__(self, record: Input, field: str, rule: str) -> Output:
        """The record for `notify.deadletters`."""
        ...


class ContactFold:
    """`pk`: fingerprint of the pseudonym key; a record written under another one is refused."""

    name = CONTACTS

    def __init__(self, notices: OutputBuilder, dead_letter: DeadLetterSink, pk: str) -> None:
        self.tables: Sequence[TableSpec[Any]] = (_message, _contact)
        self._notices, self._dead_letter, self._pk = notices, dead_letter, pk
        self._guard = RowGuard()

    def dead_letter(self, record: Input, field: str, rule: str) -> Output:
        return self._dead_letter(record, field, rule)

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        """The contact's row. Which message rows it needs only the decoded record tells."""
        return ((CONTACTS, record.key),) if record.key else ()

    def fold(self, record: Input, scope: FoldScope) -> None:
        """Decode, fold, emit. Raises Unreadable for what cannot be decoded, names another contact, or would make a row
        longer than it may be."""
        key, parsed = self._read(record)
        contact = scope.get(CONTACTS, key)
        contact_id = key.decode()
        rows = _message_rows(contact, contact_id, parsed, scope)
        place = LogPosition(record.partition, record.offset, record.at_ms, retry_of(record))
        folded = fold(contact, rows, parsed, place)
        if folded is None:
            return
        if (limit := self._guard.limit_broken(key, contact, parsed, len(record.value or b""), folded)) is not None:
            raise UnreadableRecordError("value", f"would make the contact's row longer than {limit} bytes")
        _keep(contact_id, folded, scope)
        for refused in self._notices.emit(record, contact_id, parsed, folded, scope):
            scope.emit(self._dead_letter(record, refused.field, refused.rule))
        self.folded(record.partition, contact_id, folded)

    def folded(self, partition: int, contact_id: str, folded: Folded) -> None:
        """What the agent notes of a fold for when its rows are durable; no row follows from it."""

    def is_foreign(self, record: Input, parsed: ContactInput) -> None:
        """What the agent notes of a record that is refused because of its key fingerprint."""

    def _read(self, record: Input) -> tuple[bytes, ContactInput]:
        if not is_contact_id(record.key):
            raise UnreadableRecordError("key", "is no contact id")
        if record.value is None:
            raise UnreadableRecordError("value", "must not be empty")
        try:
            parsed: ContactInput = decode(_input, record.value)
        except BadRecord as bad:
            raise UnreadableRecordError(bad.field, bad.rule) from None
        if len(record.value) > MAX_INPUT_BYTES and not isinstance(parsed, CheckpointWritten):
            raise UnreadableRecordError("value", f"is longer than {MAX_INPUT_BYTES} bytes")
        named, contact_id = getattr(parsed, "message_id", ""), record.key.decode()
        self._refuse_foreign(record, parsed)
        if isinstance(parsed, CheckpointWritten) and (fault := row_fault(contact_id, parsed.row)):
            raise UnreadableRecordError("row", fault)
        for name in parsed.message_ids if isinstance(parsed, MessagesListed) else (named,) if named else ():
            if name.partition("-")[0] != contact_id:
                raise UnreadableRecordError("message_id", "belongs to another contact than the record's key")
        return record.key, parsed

    def _refuse_foreign(self, record: Input, parsed: ContactInput) -> None:
        """A process with another pseudonym key, which does not even start where all of the log is another's, wrote it:
        its contact id means nothing here. Raises Unreadable."""
        if parsed.pk != self._pk:
            self.is_foreign(record, parsed)
            raise UnreadableRecordError("pk", "is the fingerprint of another HELIOGRAPH_PSEUDONYM_KEY")

    def frozen(self, record: Input, scope: FoldScope, error: Exception) -> None:
        """A fault of ours while folding: the dead letter is out; nothing of this contact may be claimed from here."""
        if not is_contact_id(record.key):
            return
        try:
            contact: Contact | None = scope.get(CONTACTS, record.key)
        except UNREADABLE_ROW:
            # It stays as it is, perhaps for another build: as long as it cannot be read, no input is folded.
            return
        if _folded_before(record, contact):
            return
        log.error("contact.frozen", contact=record.key.decode(), error=type(error).__name__)
        self._guard.forget(record.key)
        nothing = Contact(tenant="", based_ms=record.at_ms, based_offset=record.offset)
        first = retry_of(record)
        missing = first if first >= 0 else record.offset
        frozen = freeze(contact or nothing, type(error).__name__, missing)
        scope.put(CONTACTS, record.key, msgspec.structs.replace(frozen, watermark=record.offset))

    def set_aside(self, record: Input, scope: FoldScope) -> None:
        """On the contact's log: a replay skips the record too."""
        if not is_contact_id(record.key):
            return
        try:
            contact: Contact | None = scope.get(CONTACTS, record.key)
        except UNREADABLE_ROW:
            contact = None
        if _folded_before(record, contact):
            return
        value = InputSkipped(
            id=f"{record.key.decode()}.set_aside@{record.offset}",
            tenant=contact.tenant if contact else "",
            pk=self._pk,
            at=record.at_ms,
            offset=record.offset,
        )
        scope.emit(Output(record.topic, record.key, encode_row(value), record.partition))


def _folded_before(record: Input, contact: Contact | None) -> bool:
    """Whether the row says that a record which cannot be folded was dealt with before its commit was lost: it was
    folded then, or set aside, and later inputs may have been folded since. To do it again would put the row back."""
    return contact is not None and record.offset <= contact.watermark


def retry_of(record: Any) -> int:
    """The offset of the input that an operator had produced again as this one; -1: none of this partition. `record`:
    an Input, or as aiokafka has it."""
    source = retried_from(record.headers) if record.headers else None
    place, _, offset = (source or "").rpartition("-")
    return int(offset) if place == f"{record.topic}-{record.partition}" else -1


def _keep(contact_id: str, folded: Folded, scope: FoldScope) -> None:
    if folded.changed:
        scope.put(CONTACTS, contact_id.encode(), folded.contact)
    for key, message in folded.written.items():
        if message is None:
            scope.drop(MESSAGES, f"{contact_id}-{key}".encode())
        else:
            scope.put(MESSAGES, message.id.encode(), message)
    if folded.ends_cycle:
        scope.end_cycle()


def _message_rows(
    contact: Contact | None, contact_id: str, parsed: ContactInput, scope: FoldScope
) -> dict[str, Message]:
    """The message rows that the fold needs, by message key."""
    rows = {}
    for key in own_rows(contact, parsed):
        if (row := scope.get(MESSAGES, f"{contact_id}-{key}".encode())) is not None:
            rows[key] = row
    return rows
