"""A worker dies after it wrote a message's row and before it wrote the contact's: nothing of an input is lost."""

import pytest

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass
from tests.support.crashing import CrashingWorker
from tests.support.given import report, requested, taken, turn


def opted_out_by_a_report(*later: DeliveryStatus) -> CrashingWorker:
    """A message that was accepted; in the log behind it a report that the person opted out, and `later` ones of it."""
    worker = CrashingWorker()
    for record in (requested(), turn(), taken()):
        worker.write(record)
    worker.cycle()
    worker.write(report(DeliveryStatus.UNDELIVERED, code=21610, error=ErrorClass.OPTED_OUT))
    for progress in later:
        worker.write(report(progress))
    return worker


@pytest.mark.parametrize("later", [(), (DeliveryStatus.SENT,), (DeliveryStatus.SENT, DeliveryStatus.DELIVERED)])
def test_p3_an_opt_out_is_not_lost_whatever_was_reported_of_its_message_in_the_same_slice(later):
    worker = opted_out_by_a_report(*later)
    worker.cycle(dies_after=1)
    assert [contact.consent.opted_out for contact in worker.contacts()] == [False], "its row was not written"
    worker.cycle()
    assert [contact.consent.opted_out for contact in worker.contacts()] == [True]


def test_p6_what_follows_is_the_same_as_without_the_death():
    died, lived = (opted_out_by_a_report(DeliveryStatus.SENT, DeliveryStatus.DELIVERED) for _ in range(2))
    died.cycle(dies_after=1)
    died.cycle()
    lived.cycle()
    assert died.rows == lived.rows
