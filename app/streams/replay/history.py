"""What each input of one contact's log decided: the log folded again by the worker's own fold, step by step."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from app.domain.fold import Folded
from app.domain.model.contact import Contact, Message
from app.domain.model.inputs import Input as ContactInput
from app.records.topics import Topics
from app.streams.agents.caller_fields import without_key
from app.streams.agents.contact_fold import CONTACTS, MESSAGES, ContactFold
from app.streams.agents.outputs import OutputBuilder
from app.streams.engine.agent import Input, Output, TableSpec
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole, set_aside


class HistoryStep(NamedTuple):
    """One input and what became of it. `parsed` and `folded` are None if it was not folded and froze the contact."""

    record: Input
    parsed: ContactInput | None
    folded: Folded | None


class History(ContactFold):
    """`pk`: fingerprint of the log's pseudonym key; `skipped`: offsets of inputs that the log says
    were set aside."""

    def __init__(self, topics: Topics, pk: str, skipped: Collection[int]) -> None:
        notices = OutputBuilder(topics, without_key)
        super().__init__(notices, lambda record, field, rule: Output(topics.deadletters, record.key, None), pk)
        self._skipped = skipped
        self._tables: dict[str, _Memory] = {spec.name: _Memory(spec) for spec in self.tables}
        self._parsed: ContactInput | None = None
        self._folded: Folded | None = None

    def take(self, record: Input) -> HistoryStep | None:
        """Fold the next input of the log. None: it was refused (a dead letter of it was made), or changed nothing."""
        overlay = Overlay(self.tables, self._tables)
        self._parsed = self._folded = None
        if record.offset in self._skipped:
            set_aside(self, record, overlay, "was set aside")
        else:
            fold_whole(self, record, overlay)
        rows = overlay.latest()
        for table, changed in overlay.encoded():
            self._tables[table].keep(changed)
        if self._folded is not None:
            return HistoryStep(record, self._parsed, self._folded)
        return HistoryStep(record, None, None) if rows else None

    def contact(self, contact_id: str) -> Contact | None:
        """The contact's row after the inputs taken so far."""
        row: Contact | None = self._tables[CONTACTS].row(contact_id.encode())
        return row

    def message(self, message_id: str) -> Message | None:
        """The message after the inputs taken so far, in whichever row it lives."""
        contact_id, _, key = message_id.partition("-")
        contact = self.contact(contact_id)
        own: Message | None = self._tables[MESSAGES].row(message_id.encode())
        return contact.messages.get(key, own) if contact else own

    def folded(self, partition: int, contact_id: str, folded: Folded) -> None:
        """Note what was decided."""
        self._folded = folded

    def _read(self, record: Input) -> tuple[bytes, ContactInput]:
        key, self._parsed = super()._read(record)
        return key, self._parsed


class _Memory:
    """The rows of one table, encoded."""

    def __init__(self, spec: TableSpec[object]) -> None:
        self._spec, self._rows = spec, dict[bytes, bytes]()

    def get(self, key: bytes) -> bytes | None:
        return self._rows.get(key)

    def get_many(self, keys: list[bytes]) -> Sequence[bytes | None]:
        return [self._rows.get(key) for key in keys]

    def keep(self, changed: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Rows as they are now; None removes one."""
        for key, value in changed:
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value

    def row(self, key: bytes) -> Any:
        """Decoded; None if there is none."""
        value = self._rows.get(key)
        return None if value is None else self._spec.decode(value)


def told(history: History, records: Iterable[Input]) -> Iterator[HistoryStep]:
    """What became of each record that changed anything, in order."""
    for record in records:
        if (step := history.take(record)) is not None:
            yield step
