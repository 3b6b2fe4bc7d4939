"""A worker that folds in slices and may die after any row it wrote, over a log kept in memory."""

from pathlib import Path
from typing import Any

import msgspec

from app.domain.model.contact import Contact, Message
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.inputs import TimerDue
from app.domain.model.vocabulary import DueKind
from app.domain.rules.schedule import dues
from app.records.topics import Topics
from app.streams.agents.contact_fold import CONTACTS, MESSAGES
from app.streams.engine.agent import Input, Output
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole
from app.streams.replay.replay import ContactBases, Replay, contact_fold
from app.streams.replay.row_store import RowStore
from app.streams.replay.verification import RowVerification, based_offset
from tests.support.given import BASE, CONTACT, START_MS, due

CHECKPOINT_AFTER_MS = 3_600_000
TOPICS = Topics("", "heliograph")


class MemoryStore(dict[bytes, bytes]):
    """Rows in memory."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]


class CrashingWorker:
    """`log`: what was written; `rows`: what the changelogs say; `committed`: inputs below it are done."""

    def __init__(self) -> None:
        self.fold = contact_fold(TOPICS, str(BASE["pk"]))
        self.log: list[Input] = []
        self.rows: dict[str, MemoryStore] = {CONTACTS: MemoryStore(), MESSAGES: MemoryStore()}
        self.committed, self._folded, self.now_ms = 0, 0, START_MS

    def write(self, record: ContactInput | bytes, contact: str = CONTACT) -> None:
        self.now_ms += 1000
        value = record if isinstance(record, bytes) else msgspec.json.encode(record)
        self.log.append(Input("contacts", 0, len(self.log), self.now_ms, contact.encode(), value, []))

    def fire(self, pick: int) -> None:
        """One of the timers that the rows have armed, as the owner would write it."""
        rows = {m.id: m for m in (msgspec.json.decode(row, type=Message) for row in self.rows[MESSAGES].values())}
        for contact in self.contacts():
            rows |= {message.id: message for message in contact.messages.values()}
        armed: list[Any] = [
            due(kind, at, message.id.partition("-")[2]) for message in rows.values() for kind, at in dues(message)
        ]
        armed += [self.checkpoint_due(contact) for contact in self.contacts()]
        if armed:
            chosen = armed[pick % len(armed)]
            self.now_ms = max(self.now_ms, chosen.due_ms)
            self.write(chosen)

    def contacts(self) -> list[Contact]:
        return [msgspec.json.decode(row, type=Contact) for row in self.rows[CONTACTS].values()]

    def checkpoint_due(self, contact: Contact) -> TimerDue:
        at = contact.based_ms + CHECKPOINT_AFTER_MS
        return TimerDue(**BASE, message_id="", kind=DueKind.CHECKPOINT, due_ms=at, based=contact.based_offset)

    def cycle(self, dies_after: int | None = None) -> list[Output]:
        """Fold what is not committed, in as many cycles as it takes; die after so many rows, if told to. Returns what
        was put out."""
        outputs, end, left = list[Output](), len(self.log), dies_after
        while self.committed < end:
            made, written = self._one(end)
            outputs += made
            for table, key, row in written[:left]:
                if row is None:
                    self.rows[table].pop(key, None)
                else:
                    self.rows[table][key] = row
            if left is not None and left < len(written):
                break
            self.committed, left = self._folded, None if left is None else left - len(written)
        return outputs

    def _one(self, end: int) -> tuple[list[Output], list[tuple[str, bytes, bytes | None]]]:
        """One cycle: what it puts out, and the rows to write, in order."""
        overlay, self._folded = Overlay(self.fold.tables, self.rows), self.committed
        for record in self.log[self.committed : end]:
            fold_whole(self.fold, record, overlay)
            self._folded += 1
            if overlay.ends:
                break
        for output in overlay.outputs:
            if output.topic == TOPICS.contacts:
                self.write(output.value)
        return overlay.outputs, [(t, key, row) for t, rows in overlay.encoded() for key, row in rows]

    def bases(self, start: int) -> dict[bytes, int] | None:
        """Where a replay begins when what lies before `start` is deleted."""
        bases = ContactBases(start)
        for record in self.log[start:]:
            bases.look(record)
        for key, row in self.rows[CONTACTS].items():
            bases.name(key, based_offset(row))
        return bases.offsets if start else None

    def prove(self, path: Path, start: int = 0) -> RowVerification:
        """Replay what is left of the log from `start` and compare."""
        live, rows = ({t: RowStore(path / f"{side}-{t}") for t in (CONTACTS, MESSAGES)} for side in ("live", "rows"))
        for table, kept in self.rows.items():
            for key, row in kept.items():
                live[table].put(key, row)
        proof = RowVerification(self.fold, live, rows, self.committed, start)
        Replay(self.fold, rows, proof, self.bases(start), live[MESSAGES]).take(self.log[start:])
        proof.finish()
        for shelf in (*live.values(), *rows.values()):
            shelf.close()
        return proof
