"""What an outcome says of a message that was tried more than once."""

from app.domain.model.events import OutcomeGiven
from app.domain.model.vocabulary import DeliveryStatus, DueKind, ErrorClass, OutcomeWord, Reason
from app.records.caller_fields import CallerFields
from app.records.envelope import Cause
from app.streams.agents.outcome_record import outcome_record
from tests.support.given import due, given, report, requested, taken, turn


def test_the_error_code_is_that_of_the_attempt_whose_failure_is_the_reason():
    log = given(requested(retry_delays_ms=(1000,)), turn(), taken())
    log.then(report(DeliveryStatus.FAILED, code=30001, error=ErrorClass.THROTTLED))
    log.then(due(DueKind.RETRY, log.message().due_ms), turn(2), taken(2, sid="SM2"))
    log.then(report(DeliveryStatus.FAILED, 2, "SM2", 30008, ErrorClass.UNKNOWN))
    [event] = log.said(OutcomeGiven)
    told = outcome_record(log.message(), event, Cause(0, 0, 0), CallerFields("k"))
    assert (told.outcome, told.reason) == (OutcomeWord.FAILED, Reason.UNKNOWN)
    assert told.error_code == 30008 and [attempt.error_code for attempt in told.attempts] == [30001, 30008]
