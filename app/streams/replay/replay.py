"""Replay: one partition of the contact log folded again, offline, by the very fold of the agent.

Pure but for the shelves it keeps rows on. What the fold would produce is made, so that a fault in the making freezes as
it does in the worker, and thrown away.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from app.domain.model.contact import Message
from app.domain.model.vocabulary import DueKind
from app.domain.rules.decision_context import key_of
from app.domain.rules.schedule import dues
from app.records.topics import Topics
from app.streams.agents.caller_fields import without_key
from app.streams.agents.contact_fold import CONTACTS, MESSAGES, ContactFold
from app.streams.agents.outputs import OutputBuilder
from app.streams.engine.agent import Input, Output
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole, set_aside
from app.streams.replay.row_store import RowStore


class ReplayObserver(Protocol):
    """Looks on while rows change."""

    def changed(self, table: str, key: bytes, row: Any | None, offset: int) -> None:
        """The input at `offset` made this of a row; None: it dropped it."""
        ...

    def unsure(self, key: bytes) -> None:
        """From here the row of this contact or message may be another than it was: it hangs on inputs that are
        deleted."""
        ...


class NoObserver:
    """An observer that does nothing."""

    def changed(self, table: str, key: bytes, row: Any | None, offset: int) -> None:
        """Nothing is done with a changed row."""

    def unsure(self, key: bytes) -> None:
        """Nothing is done with a row that cannot be trusted."""


class Replay:
    """Folds slices of one partition, in order, onto `rows` (a shelf for each table).

    `bases`: where to begin with each contact, for a log whose older part is deleted: a contact without one is left
    out. None: from the log's first record. `skipped`: offsets of inputs that the log says were set aside. `live`:
    message rows as they are now, to lean on where the part of the log that they follow from is gone. `until_ms`:
    log time after which nothing is folded.
    """

    def __init__(
        self,
        fold: ContactFold,
        rows: Mapping[str, RowStore],
        watch: ReplayObserver,
        bases: Mapping[bytes, int] | None = None,
        live: RowStore | None = None,
        until_ms: int | None = None,
        skipped: Collection[int] = (),
    ) -> None:
        self._fold, self.rows, self._watch, self._skipped = fold, rows, watch, skipped
        self._bases, self._until_ms = bases, until_ms
        self._messages = _PartialLogRows(rows[MESSAGES], None if bases is None else live, fold, watch)
        self.inputs = 0

    def take(self, records: Iterable[Input]) -> bool:
        """Fold a slice. False once the log is past `until_ms`: nothing more is to be taken."""
        overlay = Overlay(self._fold.tables, {CONTACTS: self.rows[CONTACTS], MESSAGES: self._messages})
        wanted, goes_on = self._wanted(records)
        overlay.preload(key for record in wanted for key in self._fold.row_keys(record))
        for record in wanted:
            self._messages.offset = record.offset
            if self._bases is not None and (key := _contradicted(record, overlay)) is not None:
                self._watch.unsure(key)
            if record.offset in self._skipped:
                set_aside(self._fold, record, overlay, "was set aside")
            else:
                fold_whole(self._fold, record, overlay)
            for table, key, row in overlay.latest():
                self._watch.changed(table, key, row, record.offset)
            overlay.outputs.clear()
        for table, changed in overlay.encoded():
            for key, value in changed:
                self.rows[table].put(key, value)
        self.inputs += len(wanted)
        return goes_on

    def _wanted(self, records: Iterable[Input]) -> tuple[list[Input], bool]:
        wanted: list[Input] = []
        for record in records:
            if self._until_ms is not None and record.at_ms > self._until_ms:
                return wanted, False
            if self._bases is None or record.offset >= self._bases.get(record.key or b"", record.offset + 1):
                wanted.append(record)
        return wanted, True


def _contradicted(record: Input, overlay: Overlay) -> bytes | None:
    """Key of the row that an input shows to be wrong, if any: a message is forgotten that the replay has as an open
    one, or as one to be forgotten at another time. Its request repeated one that is deleted."""
    if record.key is None or record.value is None or not record.value.startswith(_DUE):
        return None
    due = _due(record.value)
    if due.kind != DueKind.FORGET:
        return None
    contact = overlay.get(CONTACTS, record.key)
    if contact is not None and key_of(due.message_id) in contact.messages:
        return record.key
    message = overlay.get(MESSAGES, due.message_id.encode())
    other = message is not None and (DueKind.FORGET, due.due_ms) not in dues(message)
    return due.message_id.encode() if other else None


def skipped_by(record: Any) -> int | None:
    """The offset of the input that this record says was set aside; None: it is none of that kind. `record`: an Input,
    or as aiokafka has it."""
    return _skip(record.value).offset if record.value is not None and record.value.startswith(_SET_ASIDE) else None


class ContactBases:
    """Where the replay of a log begins whose part before `start` is deleted: with each contact at the first input that
    a row names as its base (live rows, and those that checkpoints carry). Only what is named is proved to be one: the
    first input that is left of a contact may have had others before it, a checkpoint may have been void.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self.offsets: dict[bytes, int] = {}

    def look(self, record: Input) -> None:
        """Take note of the base that a checkpoint carries; other inputs name none."""
        if record.key is not None and record.value is not None and record.value.startswith(_CHECKPOINT):
            self.name(record.key, _carried(record.value).row.based_offset)

    def name(self, contact: bytes, offset: int) -> None:
        """A row of this contact names `offset` as its base."""
        if offset >= self._start:
            self.offsets[contact] = min(offset, self.offsets.get(contact, offset))


class _BasedRow(msgspec.Struct):
    based_offset: int = -1


class _CheckpointRecord(msgspec.Struct):
    row: _BasedRow


class _SetAsideRecord(msgspec.Struct):
    offset: int = -1


class _DueRecord(msgspec.Struct):
    message_id: str = ""
    kind: str = ""
    due_ms: int = 0


# The type is what msgspec writes first.
_CHECKPOINT, _DUE = b'{"type":"contact.checkpointed.v1"', b'{"type":"contact.due.v1"'
_SET_ASIDE = b'{"type":"contact.set_aside.v1"'
_carried = msgspec.json.Decoder(_CheckpointRecord).decode
_skip = msgspec.json.Decoder(_SetAsideRecord).decode
_due = msgspec.json.Decoder(_DueRecord).decode


class _PartialLogRows:
    """Message rows as replayed; what the replay does not know but the live table had before `offset` is taken as is.

    One that shows later inputs already does not tell what this one said of the contact, whose row is unsure from here.
    """

    def __init__(self, replayed: RowStore, live: RowStore | None, fold: ContactFold, watch: ReplayObserver) -> None:
        self._replayed, self._live, self._watch = replayed, live, watch
        self._decode = next(spec.decode for spec in fold.tables if spec.name == MESSAGES)
        self.offset = 0

    def get(self, key: bytes) -> bytes | None:
        value = self._replayed.get(key)
        if value is not None or self._live is None or not (live := self._live.get(key)):
            return value
        message: Message = self._decode(live)
        if message.logged_offset >= self.offset:
            return None
        if message.watermark > self.offset:
            self._watch.unsure(key.partition(b"-")[0])
        return live

    def get_many(self, keys: list[bytes]) -> Sequence[bytes | None]:
        """Rows in the order of `keys`."""
        return [self.get(key) for key in keys]


def contact_fold(topics: Topics, pk: str) -> ContactFold:
    """The agent's fold with nothing behind it."""

    def dead_letter(record: Input, field: str, rule: str) -> Output:
        return Output(topics.deadletters, record.key, None)

    return ContactFold(OutputBuilder(topics, without_key), dead_letter, pk)
