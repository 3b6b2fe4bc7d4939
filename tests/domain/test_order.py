"""The next text to a person leaves once the one before has its create result, or is in doubt."""

import pytest

from app.domain.model.vocabulary import DueKind, ErrorClass
from tests.support.given import abandoned, cancel, doubtful, due, given, refused, requested, taken, turn

NEXT = "b" * 20


def two():
    """Two texts asked for one after the other; the call of the first has left."""
    return given(requested(), requested(NEXT), turn())


def test_the_next_text_waits_while_the_call_of_the_one_before_is_open():
    assert not two().message(NEXT).asked


@pytest.mark.parametrize("result", [taken(), doubtful(), refused(ErrorClass.REQUEST), abandoned(), cancel()])
def test_the_next_text_asks_for_its_turn_with_whatever_ends_the_call_of_the_one_before(result):
    log = two()
    log.then(result)
    assert bool(log.message(NEXT).asked) is (type(result) is not type(cancel())), "a cancel does not end a call"


def test_the_next_text_asks_for_its_turn_when_a_call_whose_worker_died_is_in_doubt():
    log = two()
    message = log.message()
    log.then(due(DueKind.DOUBT, message.attempts[0].claimed_ms + message.policy.doubt_after_ms))
    assert log.message().attempts[0].doubtful and log.message(NEXT).asked
