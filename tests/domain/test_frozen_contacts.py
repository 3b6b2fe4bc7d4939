"""A contact whose log has an input that was not folded: nothing is claimed, deadlines hold, and it thaws."""

import msgspec

from app.domain.model.contact import Contact
from app.domain.model.effects import PermitRequest
from app.domain.model.events import InputRefused
from app.domain.model.frozen_contact import MOST, freeze
from app.domain.model.inputs import InputSkipped, LogPosition
from app.domain.model.vocabulary import DueKind, OutcomeWord, Stage
from tests.support.given import BASE, CONTACT, KEY, ContactLog, due, given, requested, turn

OTHER = "bbbbbbbbbbbbbbbbbbbb"


def frozen(log: ContactLog, *offsets: int) -> ContactLog:
    """The log goes on after inputs at these offsets were not folded."""
    assert log.contact is not None
    for offset in offsets:
        log.contact = freeze(log.contact, "SetAsideError", offset)
        log.offset = max(log.offset, offset)
    return log


def retried(log: ContactLog, record, offset: int) -> ContactLog:
    """An operator has the input at `offset` produced again."""
    log.offset += 1
    log.now_ms += 1000
    log.fold(record, LogPosition(0, log.offset, log.now_ms, offset))
    return log


def asked(log: ContactLog) -> list[tuple[str, int]]:
    return [(effect.message_id, effect.attempt) for effect in log.effects if isinstance(effect, PermitRequest)]


def test_given_a_frozen_contact_when_a_permit_comes_then_nothing_is_claimed():
    log = frozen(given(requested()), 1).then(turn())
    assert log.message().attempts == () and log.message().stage is Stage.WAITING


def test_given_a_frozen_contact_when_its_message_expires_then_it_has_its_outcome_in_time():
    log = frozen(given(requested()), 1)
    log.then(due(DueKind.EXPIRE, log.message().policy.expires_ms), after_ms=4_000_000)
    assert log.message().word is OutcomeWord.EXPIRED


def test_given_a_frozen_contact_when_the_input_is_produced_again_then_it_thaws_and_what_waits_asks_anew():
    log = frozen(given(requested()), 1).then(turn())
    retried(log, requested(OTHER), 1)
    assert log.contact is not None and (log.contact.frozen, log.contact.frozen_by) == ("", ())
    assert asked(log) == [(f"{CONTACT}-{KEY}", 1)], "the other one's turn comes behind it"
    log.then(turn())
    assert log.message().stage is Stage.FLYING


def test_given_two_inputs_that_are_missing_when_one_is_produced_again_then_the_contact_stays_frozen():
    log = retried(frozen(given(requested()), 1, 2), requested(OTHER), 1)
    assert log.contact is not None and log.contact.frozen and log.contact.frozen_by == (2,)
    retried(log, requested("c" * 20), 2)
    assert not log.contact.frozen


def test_given_a_frozen_contact_when_another_input_is_produced_again_then_it_stays_frozen():
    log = retried(frozen(given(requested()), 1), requested(OTHER), 0)
    assert log.contact is not None and log.contact.frozen


def test_given_a_contact_that_is_frozen_by_its_first_input_when_a_request_comes_then_it_is_its_tenants():
    log = ContactLog()
    log.contact, log.offset = freeze(Contact(tenant=""), "SetAsideError", 0), 0
    log.then(requested())
    assert log.contact.tenant == "acme" and log.contact.frozen_by == (0,)


def test_given_word_that_an_input_was_set_aside_then_the_row_stays_as_it_was_frozen_there():
    log = frozen(given(requested()), 1)
    before = log.contact
    log.then(InputSkipped(**BASE, offset=1))
    assert msgspec.structs.replace(log.contact, watermark=before.watermark, touched_ms=before.touched_ms) == before


def test_given_word_that_a_contacts_first_input_was_set_aside_when_its_tenant_is_known_by_then_it_is_not_refused():
    log = ContactLog()
    log.contact, log.offset = freeze(Contact(tenant=""), "SetAsideError", 0), 0
    log.then(requested()).then(InputSkipped(**{**BASE, "tenant": ""}, offset=0))
    assert not any(isinstance(event, InputRefused) for event in log.events)
    assert log.contact.tenant == "acme" and log.contact.frozen_by == (0,)


def test_the_offsets_that_a_contact_is_frozen_by_are_bounded():
    contact = freeze(Contact(tenant="acme"), "SetAsideError", 0)
    for offset in range(2 * MOST):
        contact = freeze(contact, "SetAsideError", offset)
    assert contact.frozen_by == tuple(range(MOST))
