"""Agent `contacts`: folds the log of each contact into its row; the only writer of tables `contacts` and `messages`.

No rule lives here: it decodes, hands the input to `domain.fold`, turns events into records (`notices`) and, once the
rows are durable, starts the calls of fresh claims and arms the timers from the rows as they stand.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import msgspec

from app import clock, telemetry
from app.domain.contact import Contact, Message
from app.domain.events import AttemptClaimed, ConsentChanged, MessageForgotten
from app.domain.fold import Folded, fold
from app.domain.inputs import Input as ContactInput
from app.domain.inputs import Place, Texted
from app.domain.words import Answer, Progress
from app.streams.calls import Calls, Claim
from app.streams.compose import Composer
from app.streams.engine import points
from app.streams.engine.agent import Input, Output, Scope, TableSpec, Unreadable
from app.streams.notices import Notices
from app.streams.timers import PartitionTimers

log = telemetry.logger(__name__)

CONTACTS, MESSAGES = "contacts", "messages"
_decode_input = msgspec.json.Decoder(ContactInput).decode
_contact = TableSpec(
    CONTACTS, msgspec.json.Decoder(Contact).decode, msgspec.json.Encoder().encode, lambda contact: contact.watermark
)
# Written, and acknowledged, before the contact row that drops the message: the order of `tables`.
_message = TableSpec(MESSAGES, msgspec.json.Decoder(Message).decode, msgspec.json.Encoder().encode)


class DeadLetters(Protocol):
    """Writes the dead letter of a record, payload sealed."""

    def __call__(self, record: Input, field: str, rule: str) -> Output:
        """The record for `notify.deadletters`."""
        ...


class ContactsAgent:
    """See the module. `fail` ends the process: a record written under another pseudonym key is not ours to fold."""

    name = CONTACTS

    def __init__(
        self,
        topic: str,
        notices: Notices,
        composer: Composer,
        dead_letter: DeadLetters,
        fail: Callable[[str], NoReturn],
        pk: str,
    ) -> None:
        self.topic = topic
        self.tables: Sequence[TableSpec[Any]] = (_message, _contact)
        self._notices, self._composer, self._dead_letter = notices, composer, dead_letter
        self._fail, self._pk = fail, pk
        self._touched: dict[int, set[tuple[str, str]]] = {}
        self._claimed: dict[int, set[tuple[str, str, int]]] = {}
        self.timers: dict[int, PartitionTimers] = {}
        self.calls: Calls | None = None

    def dead_letter(self, record: Input, field: str, rule: str) -> Output:
        """See `DeadLetters`."""
        return self._dead_letter(record, field, rule)

    def row_keys(self, record: Input) -> Sequence[tuple[str, bytes]]:
        """One input changes one row."""
        return ((CONTACTS, record.key),) if record.key else ()

    def fold(self, record: Input, scope: Scope) -> None:
        """Decode, fold, emit. Raises Unreadable for what cannot be decoded or names another contact."""
        key, parsed = self._read(record)
        contact = scope.get(CONTACTS, key)
        archived = _archived(contact, parsed, scope)
        folded = fold(contact, archived, parsed, Place(record.partition, record.offset, record.at_ms))
        if folded is None:
            return
        scope.put(CONTACTS, key, folded.contact)
        self._keep_archived(folded, archived, scope)
        for refused in self._notices.emit(record, key.decode(), parsed, folded, scope):
            scope.emit(self._dead_letter(record, refused.field, refused.rule))
        self._note(record.partition, key.decode(), folded, parsed)

    def _read(self, record: Input) -> tuple[bytes, ContactInput]:
        if record.key is None or record.value is None:
            raise Unreadable("key" if record.key is None else "value", "must not be empty")
        try:
            parsed = _decode_input(record.value)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise Unreadable("value", type(error).__name__) from None
        if parsed.pk != self._pk:
            self._fail("topic contacts was written under another HELIOGRAPH_PSEUDONYM_KEY")
        named = getattr(parsed, "message_id", "")
        if named and named.partition("-")[0] != record.key.decode("latin-1"):
            raise Unreadable("message_id", "belongs to another contact than the record's key")
        return record.key, parsed

    def _keep_archived(self, folded: Folded, before: Message | None, scope: Scope) -> None:
        if folded.archived is not None and folded.archived is not before:
            scope.put(MESSAGES, folded.archived.id.encode(), folded.archived)
        elif folded.archived is None and before is not None and _forgets(folded):
            scope.drop(MESSAGES, before.id.encode())

    def _note(self, partition: int, contact_id: str, folded: Folded, parsed: ContactInput) -> None:
        touched = self._touched.setdefault(partition, set())
        for event in folded.events:
            if (key := getattr(event, "key", None)) is not None:
                touched.add((contact_id, key))
            if isinstance(event, AttemptClaimed):
                self._claimed.setdefault(partition, set()).add((contact_id, event.key, event.n))
            elif isinstance(event, ConsentChanged) and event.opted_out and self.calls is not None:
                self.calls.stop_contact(contact_id)

    def frozen(self, record: Input, scope: Scope, error: Exception) -> None:
        """A fault of ours while folding: the dead letter is out; nothing of this contact may be claimed from here."""
        log.error("contact.frozen", contact=(record.key or b"").decode("latin-1"), error=type(error).__name__)
        if record.key is None:
            return
        contact = scope.get(CONTACTS, record.key) or Contact(tenant="")
        frozen = msgspec.structs.replace(contact, frozen=type(error).__name__, watermark=record.offset)
        scope.put(CONTACTS, record.key, frozen)

    def tick(self, partition: int, scope: Scope) -> None:
        """Nothing here is driven by the clock: timers write inputs."""

    def settled(self, partition: int, changed: Mapping[str, Mapping[bytes, Any | None]]) -> None:
        """Rows are durable: start the calls of fresh claims that still stand, arm the timers of what changed."""
        rows: Mapping[bytes, Contact] = changed.get(CONTACTS, {})  # type: ignore[assignment]
        for contact_id, key, n in self._claimed.pop(partition, ()):
            self._start(partition, rows[contact_id.encode()], contact_id, key, n)
        timers, now = self.timers[partition], (clock.now_ms(), clock.boot_s())
        for contact_id, key in self._touched.pop(partition, ()):
            message = rows[contact_id.encode()].messages.get(key)
            if message is not None:
                timers.arm(message, now)
        for message_id, archived in changed.get(MESSAGES, {}).items():
            if archived is None:
                timers.disarm(message_id.decode())
            else:
                timers.arm(archived, now)

    def _start(self, partition: int, contact: Contact, contact_id: str, key: str, n: int) -> None:
        message = contact.messages[key]
        attempt = message.attempts[n - 1]
        if self.calls is None or attempt.answer is not Answer.OPEN or attempt.progress is not Progress.CLAIMED:
            return
        claim = Claim(
            tenant=message.tenant,
            contact_id=contact_id,
            message_id=message.id,
            attempt=n,
            partition=partition,
            claimed_s=clock.boot_s(),
            compose=lambda: self._composer.create(message, n),
        )
        if contact.consent.opted_out or contact.frozen:
            claim.withdrawn = "opted_out" if contact.consent.opted_out else "frozen"
        points.reach("after_claim")
        self.calls.start(claim)

    def assigned(self, partition: int, rows: Mapping[str, Iterable[tuple[bytes, Any]]]) -> None:
        """Build the timers from the rows; claims without an answer are inherited and stay in doubt."""
        timers, now = PartitionTimers(), (clock.now_ms(), clock.boot_s())
        for _, contact in rows[CONTACTS]:
            for message in contact.messages.values():
                timers.arm(message, now)
        for _, message in rows[MESSAGES]:
            timers.arm(message, now)
        self.timers[partition] = timers

    def revoked(self, partition: int) -> None:
        """Another worker owns the partition now."""
        self.timers.pop(partition, None)
        self._claimed.pop(partition, None)
        self._touched.pop(partition, None)


def _forgets(folded: Folded) -> bool:
    return any(isinstance(event, MessageForgotten) for event in folded.events)


def _archived(contact: Contact | None, parsed: ContactInput, scope: Scope) -> Message | None:
    """The row of table `messages` the input names, looked up only if the contact's row does not hold the message."""
    if isinstance(parsed, Texted) or not parsed.message_id:
        return None
    if contact is not None and parsed.message_id.partition("-")[2] in contact.messages:
        return None
    row: Message | None = scope.get(MESSAGES, parsed.message_id.encode())
    return row
