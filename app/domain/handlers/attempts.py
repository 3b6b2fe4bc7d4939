"""Decisions on turns, answers and reports: the life of attempts."""

from app.domain.handlers.inbound import learn
from app.domain.handlers.lane_feedback import tell_lane
from app.domain.handlers.reconciliation import prove
from app.domain.model.contact import Attempt, Message, find_attempt, get_attempt, last_attempt_no, may_arrive
from app.domain.model.events import (
    AttemptClaimed,
    AttemptProgressed,
    CreateResultRecorded,
    InputRefused,
    LineTypeRecorded,
    StageChanged,
)
from app.domain.model.inputs import CreateReturned, DeliveryReported, PermitGranted
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, ErrorClass, OutcomeWord, Reason, Stage
from app.domain.rules.attempt_evaluation import (
    conclude_at_deadline,
    drop_media,
    end_attempts,
    evaluate_attempt,
    expire,
    mark_in_doubt,
    retry,
)
from app.domain.rules.decision_context import DecisionContext, key_of, reason_of
from app.domain.rules.retry import after_abandonment, after_refusal
from app.domain.rules.suppression import suppression_of

# A create result that a later one may replace.
UNSETTLED = (CreateResult.OPEN, CreateResult.DOUBTFUL)
# The call was abandoned: too near to its time for Twilio to hold it, too early to send it.
TOO_NEAR = "too_near"


def turn_granted(case: DecisionContext, record: PermitGranted) -> None:
    """The last look at consent and deadline before a claim. Every turn is answered."""
    message, n = case.find(record.message_id), record.attempt
    if message is not None and n <= last_attempt_no(message):
        case.turn(record.message_id, n, record.lane, taken=True)
    elif message is None or message.stage is not Stage.WAITING or message.asked != n or case.contact.frozen:
        case.turn(record.message_id, n, record.lane, taken=False)
    elif (bar := suppression_of(case.contact, message)) is not None:
        end_attempts(case, message, OutcomeWord.SUPPRESSED, bar)
    elif message.policy is not None and message.policy.expires_ms <= case.place.log_ms:
        expire(case, message)
    else:
        at, offset = case.place.log_ms, case.place.offset
        case.record(AttemptClaimed(key=key_of(message.id), n=n, offset=offset, at_ms=at, probe=record.probe))
        case.turn(message.id, n, record.lane, taken=True)


def answered(case: DecisionContext, record: CreateReturned) -> None:
    """Twilio's word on the create call. Reports that came before it win over a refusal.

    One that comes when a later attempt has begun (Kafka was away, and the journal kept it) is learnt and moves nothing.
    """
    found = _attempt(case, record.message_id, record.attempt)
    if found is None or found[1].answer not in UNSETTLED or found[1].answer is record.answer:
        return
    message, before = found
    if record.line_type is not None:
        case.record(LineTypeRecorded(line_type=record.line_type, at_ms=case.place.log_ms))
    if record.answer is not CreateResult.DOUBTFUL and prove(case, message, before, record.sid):
        message, before = _now(case, message, before)
    case.record(
        CreateResultRecorded(
            key=key_of(message.id),
            n=before.n,
            answer=record.answer,
            at_ms=case.place.log_ms,
            started_ms=record.started_ms,
            sid=record.sid,
            progress=record.progress if record.answer is CreateResult.TAKEN else DeliveryStatus.CLAIMED,
            segments=record.segments,
            code=record.code,
            error=record.error,
            why=record.why,
        )
    )
    after = _now(case, message, before)
    tell_lane(case, *after, record)
    if before.progress > DeliveryStatus.CLAIMED:
        return
    _learn(case, after, record, "")
    message = _now(case, message, before)[0]
    if message.stage is Stage.FINAL:
        _too_late(case, message, record)
    elif before.n < last_attempt_no(message):
        evaluate_attempt(case, message.id, before.n)
    else:
        _meant(case, message, record)


def _too_late(case: DecisionContext, message: Message, record: CreateReturned) -> None:
    """The outcome was `in_doubt`; an answer kept in a journal proves after all what became of the call."""
    if message.word is not OutcomeWord.IN_DOUBT:
        return
    if record.answer is CreateResult.REFUSED and not any(may_arrive(attempt) for attempt in message.attempts):
        case.conclude(message, OutcomeWord.FAILED, reason_of(record.error))
    else:
        conclude_at_deadline(case, message)


def _meant(case: DecisionContext, message: Message, record: CreateReturned) -> None:
    """What the answer to the last attempt means."""
    match record.answer:
        case CreateResult.TAKEN:
            evaluate_attempt(case, message.id, record.attempt)
        case CreateResult.DOUBTFUL:
            mark_in_doubt(case, message, record.attempt)
        case CreateResult.ABANDONED:
            _ask_again(case, message, record)
        case CreateResult.REFUSED:
            _refused(case, message, record)
        case CreateResult.OPEN:
            return


def reported(case: DecisionContext, record: DeliveryReported) -> None:
    """A report: progress by rank, news kept with how it was learnt, the outcome by the best attempt."""
    found = _attempt(case, record.message_id, record.attempt)
    if found is None:
        case.record(InputRefused(field="message_id", rule="names no attempt of this contact"))
        return
    message, attempt = found
    if attempt.sid and record.sid != attempt.sid and not attempt.inferred:
        case.record(InputRefused(field="sid", rule="is not the SID of this attempt"))
        return
    if prove(case, message, attempt, record.sid):
        message, attempt = _now(case, message, attempt)
    if not attempt.inferred and _known(attempt, record):
        return
    case.record(progressed(case, record))
    after = _now(case, message, attempt)
    _learn(case, after, record, record.sid)
    tell_lane(case, *after, record)
    evaluate_attempt(case, message.id, attempt.n)


def _learn(
    case: DecisionContext, held: tuple[Message, Attempt], record: CreateReturned | DeliveryReported, sid: str
) -> None:
    """Of the person; and of a request that can never be sent, which is somebody's bug: the outcome tells the team, a
    dead letter the operators."""
    learn(case, held, record, record.at, sid)
    if record.error is ErrorClass.REQUEST:
        rule = f"says that the request of message {record.message_id} cannot be sent: {record.code}"
        case.record(InputRefused(field="code", rule=rule))


def _known(attempt: Attempt, record: DeliveryReported) -> bool:
    progress, code = record.progress, record.code
    for step in attempt.learnt:  # noqa: SIM110 - `any` over a generator takes three times as long, for each report
        if step.progress == progress and step.code == code:
            return True
    return False


def progressed(case: DecisionContext, record: DeliveryReported) -> AttemptProgressed:
    """The event of a report."""
    return AttemptProgressed(
        key=key_of(record.message_id),
        n=record.attempt,
        progress=record.progress,
        at_ms=case.place.log_ms,
        provenance=record.provenance,
        sid=record.sid,
        code=record.code,
        error=record.error,
        hold_ms=record.hold_until_ms,
    )


def _attempt(case: DecisionContext, message_id: str, n: int) -> tuple[Message, Attempt] | None:
    message = case.find(message_id)
    attempt = None if message is None else find_attempt(message, n)
    return None if message is None or attempt is None else (message, attempt)


def _now(case: DecisionContext, message: Message, attempt: Attempt) -> tuple[Message, Attempt]:
    """Both as they stand after what was decided since."""
    current = case.find(message.id)
    assert current is not None, "it was there a moment ago"
    return current, get_attempt(current, attempt.n)


def _refused(case: DecisionContext, message: Message, record: CreateReturned) -> None:
    """Nothing was sent. Some refusals wait, an opt-out is learnt, the rest end the message."""
    attempt, hints = get_attempt(message, record.attempt), (record.retry_after_ms or 0, record.hold_until_ms)
    due = None if message.cancel_requested_ms else after_refusal(message, attempt, record.error, hints)
    if record.error is ErrorClass.OPTED_OUT:
        end_attempts(case, message, OutcomeWord.SUPPRESSED, Reason.OPTED_OUT)
    elif record.error is ErrorClass.SANDBOXED:
        end_attempts(case, message, OutcomeWord.REJECTED, Reason.SANDBOXED)
    elif due is None:
        end_attempts(case, message, OutcomeWord.FAILED, reason_of(record.error))
    else:
        if record.error is ErrorClass.MMS_IMPOSSIBLE:
            drop_media(case, message)
        retry(case, message, due, reason_of(record.error), None)


def _ask_again(case: DecisionContext, message: Message, record: CreateReturned) -> None:
    """The call was abandoned before it left: a new attempt, if the message may still go; later and later if claims
    are abandoned one after the other, whatever the reason.

    A worker that found it expired is believed, though its clock be before the log's: else it would be asked for, and
    abandoned, over and over until the two agree.
    """
    if (bar := suppression_of(case.contact, message)) is not None:
        end_attempts(case, message, OutcomeWord.SUPPRESSED, bar)
    elif message.cancel_requested_ms:
        end_attempts(case, message, OutcomeWord.CANCELED, Reason.CANCEL_REQUESTED)
    elif message.policy is not None and (
        message.policy.expires_ms <= case.place.log_ms or record.why == Reason.EXPIRED
    ):
        expire(case, message)
    elif record.why == TOO_NEAR and message.policy is not None and message.policy.start_ms > case.place.log_ms:
        case.record(StageChanged(key=key_of(message.id), stage=Stage.SCHEDULED, reason=Reason.SCHEDULED))
    elif (due_ms := after_abandonment(message, case.place.log_ms)) is not None:
        retry(case, message, due_ms, Reason.ABANDONED, None)
    else:
        case.ask(message, Reason.ABANDONED)
