"""A row as a person sees it: what is so of the number, and which attempts went without media."""

import msgspec

from app.cli.queries.row_view import contact_view, lines, message_view
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass
from tests.support.given import CONTACT, ContactLog, due, given, pictured, refused, report, requested, taken, turn


def seen(log: ContactLog) -> dict:
    return contact_view(CONTACT, 0, msgspec.json.encode(log.contact))


def test_an_invalid_number_is_shown_with_why_since_when_and_by_which_code() -> None:
    view = seen(given(requested(), turn(), refused(ErrorClass.NUMBER_INVALID, code=21211, invalid_after=1)))
    assert view["number"] == {
        "state": "invalid",
        "reason": "number_invalid",
        "since": "2027-01-15T08:00:03.000Z",
        "error_code": 21211,
        "failures": 0,
    }
    assert "  number: invalid since 2027-01-15T08:00:03.000Z (number_invalid)" in list(lines(view))


def test_a_valid_number_says_how_many_messages_did_not_reach_it() -> None:
    bad = report(DeliveryStatus.UNDELIVERED, code=30003, error=ErrorClass.NUMBER_UNREACHABLE, invalid_after=5)
    view = seen(given(requested(), turn(), taken(), bad))
    assert (view["number"]["state"], view["number"]["failures"]) == ("valid", 1)
    assert not [line for line in lines(view) if "number:" in line]


def test_filtered_texts_are_counted_and_attempts_without_media_told() -> None:
    log = given(pictured(), turn(), refused(ErrorClass.MMS_IMPOSSIBLE))
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), taken(2, "SM2"))
    log.then(report(DeliveryStatus.UNDELIVERED, 2, "SM2", 30007, ErrorClass.FILTERED))
    assert seen(log)["filtered_texts"] == 1
    view = message_view(0, msgspec.json.encode(log.message()))
    assert [attempt["without_media"] for attempt in view["attempts"]] == [False, True]
