"""A record that cannot be folded is read again when its commit was lost: the row must not go back by that."""

import msgspec
import pytest

from app.domain.model.contact import Contact
from app.streams.agents.contact_fold import CONTACTS
from app.streams.engine.agent import Input
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole, set_aside
from tests.support.crashing import CrashingWorker, MemoryStore
from tests.support.given import CONTACT, requested

RULE = "set aside: ended the process 3 times"


class Log:
    """The log of one contact, folded record by record into rows that are durable at once."""

    def __init__(self) -> None:
        self.crashing, self.types = CrashingWorker(), list[str]()

    def write(self, key: str) -> Input:
        self.crashing.write(requested(key * 20))
        return self.crashing.log[-1]

    def cycle(self, record: Input, *, aside: bool) -> None:
        fold, rows = self.crashing.fold, self.crashing.rows
        overlay = Overlay(fold.tables, rows)
        if aside:
            set_aside(fold, record, overlay, RULE)
        else:
            fold_whole(fold, record, overlay)
        values = [output.value for output in overlay.outputs]
        self.types += [msgspec.json.decode(value)["type"] if value else "dead letter" for value in values]
        for table, changed in overlay.encoded():
            rows[table] = MemoryStore({**rows[table], **{key: row for key, row in changed if row is not None}})

    @property
    def contact(self) -> Contact:
        return msgspec.json.decode(self.crashing.rows[CONTACTS][CONTACT.encode()], type=Contact)


@pytest.mark.parametrize("aside", [True, False])
def test_a_record_that_was_dealt_with_is_not_set_aside_once_more(aside: bool) -> None:
    log = Log()
    first, second = log.write("a"), log.write("b")
    log.cycle(first, aside=aside)
    log.cycle(second, aside=False)
    before = log.contact
    assert before.watermark == second.offset and bool(before.frozen) == aside
    log.types.clear()
    log.cycle(first, aside=True)
    assert log.contact == before
    assert "contact.set_aside.v1" not in log.types


def test_a_record_that_was_not_dealt_with_freezes_its_contact() -> None:
    log = Log()
    log.cycle(log.write("a"), aside=False)
    record = log.write("b")
    log.types.clear()
    log.cycle(record, aside=True)
    assert log.types == ["dead letter", "contact.set_aside.v1"]
    assert log.contact.frozen_by == (record.offset,) and log.contact.watermark == record.offset
