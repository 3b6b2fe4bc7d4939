"""The gauge of frozen contacts: what froze and what thawed, while rows are still being read."""

from app.domain.model.contact import Contact
from app.streams.monitoring.frozen_contacts import FrozenContacts

FROZEN, WELL = Contact(tenant="acme", frozen="SetAsideError", frozen_by=(3,)), Contact(tenant="acme")


def test_contacts_count_from_their_stored_rows_and_from_what_is_folded_until_they_thaw():
    found = FrozenContacts()
    found.see_stored(0, "a", FROZEN)
    found.see(1, "b", FROZEN)
    found.see(1, "c", WELL)
    assert found.count() == 2
    found.see(0, "a", WELL)
    assert found.count() == 1


def test_a_stored_row_that_is_read_after_its_contact_thawed_does_not_count():
    found = FrozenContacts()
    found.thawed(0, "a")
    found.see(0, "a", WELL)
    found.see_stored(0, "a", FROZEN)
    assert found.count() == 0


def test_contacts_of_a_partition_that_is_let_go_do_not_count():
    found = FrozenContacts()
    found.see(0, "a", FROZEN)
    found.revoked(0)
    assert found.count() == 0
