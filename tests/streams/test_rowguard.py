"""The last guard at its real limits: what is refused, what passes, and that the row stays."""

import msgspec
import pytest
from msgspec.structs import replace

from app.domain.model.contact import Contact, Message
from app.domain.model.inputs import CheckpointWritten
from app.domain.model.row_limits import GROWTH_BYTES, ROW_BYTES, row_bytes
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, Intent, OutcomeWord, Priority
from app.streams.agents.contact_fold import CONTACTS, MAX_INPUT_BYTES, MESSAGES
from tests.support.crashing import TOPICS, CrashingWorker
from tests.support.given import (
    BASE,
    CONTACT,
    KEY,
    cancel,
    doubtful,
    due,
    given,
    rejected,
    report,
    requested,
    text,
    turn,
)

OTHER = "e" * 20


def row_of(size: int) -> Contact:
    """A row of so many bytes: a message that is being sent, and another that is only long."""
    row = given(requested(), requested(OTHER, priority=Priority.URGENT), turn(), turn(key=OTHER)).contact
    assert row is not None
    row = replace(row, messages={**row.messages, OTHER: replace(row.messages[OTHER], sealed_caller_fields="")})
    longer = replace(row.messages[OTHER], sealed_caller_fields="x" * (size - row_bytes(row)))
    return replace(row, messages={**row.messages, OTHER: longer})


def worker(size: int) -> CrashingWorker:
    """One whose contact's row has so many bytes."""
    made = CrashingWorker()
    made.write(CheckpointWritten(**BASE, row=row_of(size)))
    assert said(made) == [] and len(made.rows[CONTACTS][CONTACT.encode()]) == size
    return made


def said(made: CrashingWorker, *more) -> list[str]:
    """Of what was put out the events, outcomes and consent; "refused" for a dead letter."""
    for record in more:
        made.write(record)
    words = []
    for output in made.cycle():
        told = msgspec.json.decode(output.value or b"{}")
        words.append("refused" if output.topic == TOPICS.deadletters else told.get("event") or told.get("state") or "")
    return [word for word in words if word]


@pytest.fixture
def full() -> CrashingWorker:
    return worker(GROWTH_BYTES)


def test_an_input_that_makes_a_full_row_longer_is_refused_and_the_row_stays(full):
    before = full.rows[CONTACTS][CONTACT.encode()]
    assert said(full, doubtful(), cancel("b" * 20)) == ["refused", "refused"]
    assert full.rows[CONTACTS][CONTACT.encode()] == before


def test_p1_p3_what_ends_a_message_or_changes_consent_passes(full):
    told = said(full, text(Intent.STOP), rejected("c" * 20), requested("d" * 20))
    assert "refused" not in told and told[0] == "opted_out" and told.count("outcome") == 2
    assert full.contacts()[0].consent.opted_out
    assert GROWTH_BYTES < len(full.rows[CONTACTS][CONTACT.encode()]) < GROWTH_BYTES + 1_000
    assert len(full.rows[MESSAGES]) == 2


def test_p1_a_timer_passes_and_so_does_what_a_report_says_of_the_person(full):
    message = full.contacts()[0].messages[KEY]
    opted_out = report(DeliveryStatus.UNDELIVERED, code=30004, error=ErrorClass.OPTED_OUT)
    assert "refused" not in said(full, due(DueKind.OUTCOME, message.policy.outcome_ms), opted_out)
    [row] = full.rows[MESSAGES].values()
    assert (
        full.contacts()[0].consent.opted_out and msgspec.json.decode(row, type=Message).word is OutcomeWord.UNDELIVERED
    )


def test_beyond_the_last_limit_nothing_passes_that_makes_the_row_longer():
    made = CrashingWorker()
    made.write(CheckpointWritten(**BASE, row=row_of(ROW_BYTES + 1)))
    assert said(made) == ["refused"] and made.contacts() == []
    assert said(made, requested()) == ["opened", "stage"], "and the contact goes on"


def test_a_row_that_is_full_takes_what_makes_it_shorter(full):
    assert said(full, report(DeliveryStatus.SENT, key=OTHER)) == ["progressed"]
    assert row_bytes(full.contacts()[0]) < 2_000
    assert said(full, doubtful()) == ["doubtful", "doubted"]


def test_an_input_longer_than_any_of_ours_is_refused():
    made = CrashingWorker()
    at = replace(rejected(), sealed_caller_fields="")
    room = MAX_INPUT_BYTES - len(msgspec.json.encode(at))
    assert "refused" not in said(made, replace(at, sealed_caller_fields="x" * room))
    over = replace(rejected("b" * 20), sealed_caller_fields="x" * (room + 1))
    assert said(made, over) == ["refused"]
    [row] = made.rows[MESSAGES].values()
    assert msgspec.json.decode(row, type=Message).word is OutcomeWord.REJECTED
