"""Decisions on turns, answers and reports: the life of attempts."""

from app.domain.handlers.inbound import learn
from app.domain.handlers.lane_feedback import tell_lane
from app.domain.handlers.reconciliation import prove
from app.domain.model.contact import Attempt, Message, find_attempt, get_attempt, last_attempt_no, may_arrive
from app.domain.model.events import (
    AttemptAnswered,
    AttemptClaimed,
    AttemptProgressed,
    InputRefused,
    LineLearnt,
    StageChanged,
)
from app.domain.model.inputs import Answered, Reported, TurnGranted
from app.domain.model.vocabulary import Answer, ErrorClass, Progress, Reason, Stage, Word
from app.domain.rules.decision_context import Case, key_of, reason_of
from app.domain.rules.lifecycle import close, doubt, drop_media, end, expire, moved, retry
from app.domain.rules.retry import after_abandonment, after_refusal
from app.domain.rules.suppression import barred

# The call was abandoned: too near to its time for Twilio to hold it, too early to send it.
TOO_NEAR = "too_near"


def turn_granted(case: Case, record: TurnGranted) -> None:
    """The last look at consent and deadline before a claim. Every turn is answered."""
    message, n = case.find(record.message_id), record.attempt
    if message is not None and n <= last_attempt_no(message):
        case.turn(record.message_id, n, record.lane, taken=True)
    elif message is None or message.stage is not Stage.WAITING or message.asked != n or case.contact.frozen:
        case.turn(record.message_id, n, record.lane, taken=False)
    elif (bar := barred(case.contact, message)) is not None:
        end(case, message, Word.SUPPRESSED, bar)
    elif message.policy is not None and message.policy.expires_ms <= case.place.log_ms:
        expire(case, message)
    else:
        at, offset = case.place.log_ms, case.place.offset
        case.happen(AttemptClaimed(key=key_of(message.id), n=n, offset=offset, at_ms=at, probe=record.probe))
        case.turn(message.id, n, record.lane, taken=True)


def answered(case: Case, record: Answered) -> None:
    """Twilio's word on the create call. Reports that came before it win over a refusal.

    One that comes when a later attempt has begun (Kafka was away, and the journal kept it) is learnt and moves nothing.
    """
    found = _attempt(case, record.message_id, record.attempt)
    if found is None or found[1].answer not in (Answer.OPEN, Answer.DOUBTFUL) or found[1].answer is record.answer:
        return
    message, before = found
    if record.line_type is not None:
        case.happen(LineLearnt(line_type=record.line_type, at_ms=case.place.log_ms))
    if record.answer is not Answer.DOUBTFUL and prove(case, message, before, record.sid):
        message, before = _now(case, message, before)
    case.happen(
        AttemptAnswered(
            key=key_of(message.id),
            n=before.n,
            answer=record.answer,
            at_ms=case.place.log_ms,
            started_ms=record.started_ms,
            sid=record.sid,
            progress=record.progress if record.answer is Answer.TAKEN else Progress.CLAIMED,
            segments=record.segments,
            code=record.code,
            error=record.error,
            why=record.why,
        )
    )
    after = _now(case, message, before)
    tell_lane(case, *after, record)
    if before.progress > Progress.CLAIMED:
        return
    _learn(case, after, record, "")
    message = _now(case, message, before)[0]
    if message.stage is Stage.FINAL:
        _too_late(case, message, record)
    elif before.n < last_attempt_no(message):
        moved(case, message.id, before.n)
    else:
        _meant(case, message, record)


def _too_late(case: Case, message: Message, record: Answered) -> None:
    """The outcome was `in_doubt`; an answer kept in a journal proves after all what became of the call."""
    if message.word is not Word.IN_DOUBT:
        return
    if record.answer is Answer.REFUSED and not any(may_arrive(attempt) for attempt in message.attempts):
        case.conclude(message, Word.FAILED, reason_of(record.error))
    else:
        close(case, message)


def _meant(case: Case, message: Message, record: Answered) -> None:
    """What the answer to the last attempt means."""
    match record.answer:
        case Answer.TAKEN:
            moved(case, message.id, record.attempt)
        case Answer.DOUBTFUL:
            doubt(case, message, record.attempt)
        case Answer.ABANDONED:
            _ask_again(case, message, record)
        case Answer.REFUSED:
            _refused(case, message, record)
        case Answer.OPEN:
            return


def reported(case: Case, record: Reported) -> None:
    """A report: progress by rank, news kept with how it was learnt, the outcome by the best attempt."""
    found = _attempt(case, record.message_id, record.attempt)
    if found is None:
        case.happen(InputRefused(field="message_id", rule="names no attempt of this contact"))
        return
    message, attempt = found
    if attempt.sid and record.sid != attempt.sid and not attempt.inferred:
        case.happen(InputRefused(field="sid", rule="is not the SID of this attempt"))
        return
    if prove(case, message, attempt, record.sid):
        message, attempt = _now(case, message, attempt)
    if not attempt.inferred and _known(attempt, record):
        return
    case.happen(progressed(case, record))
    after = _now(case, message, attempt)
    _learn(case, after, record, record.sid)
    tell_lane(case, *after, record)
    moved(case, message.id, attempt.n)


def _learn(case: Case, held: tuple[Message, Attempt], record: Answered | Reported, sid: str) -> None:
    """Of the person; and of a request that can never be sent, which is somebody's bug: the outcome tells the team, a
    dead letter the operators."""
    learn(case, held, record, record.at, sid)
    if record.error is ErrorClass.REQUEST:
        rule = f"says that the request of message {record.message_id} cannot be sent: {record.code}"
        case.happen(InputRefused(field="code", rule=rule))


def _known(attempt: Attempt, record: Reported) -> bool:
    progress, code = record.progress, record.code
    for step in attempt.learnt:  # noqa: SIM110 - `any` over a generator takes three times as long, for each report
        if step.progress == progress and step.code == code:
            return True
    return False


def progressed(case: Case, record: Reported) -> AttemptProgressed:
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


def _attempt(case: Case, message_id: str, n: int) -> tuple[Message, Attempt] | None:
    message = case.find(message_id)
    attempt = None if message is None else find_attempt(message, n)
    return None if message is None or attempt is None else (message, attempt)


def _now(case: Case, message: Message, attempt: Attempt) -> tuple[Message, Attempt]:
    """Both as they stand after what was decided since."""
    current = case.find(message.id)
    assert current is not None, "it was there a moment ago"
    return current, get_attempt(current, attempt.n)


def _refused(case: Case, message: Message, record: Answered) -> None:
    """Nothing was sent. Some refusals wait, an opt-out is learnt, the rest end the message."""
    attempt, hints = get_attempt(message, record.attempt), (record.retry_after_ms or 0, record.hold_until_ms)
    due = None if message.cancel_requested_ms else after_refusal(message, attempt, record.error, hints)
    if record.error is ErrorClass.OPTED_OUT:
        end(case, message, Word.SUPPRESSED, Reason.OPTED_OUT)
    elif record.error is ErrorClass.SANDBOXED:
        end(case, message, Word.REJECTED, Reason.SANDBOXED)
    elif due is None:
        end(case, message, Word.FAILED, reason_of(record.error))
    else:
        if record.error is ErrorClass.MMS_IMPOSSIBLE:
            drop_media(case, message)
        retry(case, message, due, reason_of(record.error), None)


def _ask_again(case: Case, message: Message, record: Answered) -> None:
    """The call was abandoned before it left: a new attempt, if the message may still go; later and later if claims
    are abandoned one after the other, whatever the reason.

    A worker that found it expired is believed, though its clock be before the log's: else it would be asked for, and
    abandoned, over and over until the two agree.
    """
    if (bar := barred(case.contact, message)) is not None:
        end(case, message, Word.SUPPRESSED, bar)
    elif message.cancel_requested_ms:
        end(case, message, Word.CANCELED, Reason.CANCEL_REQUESTED)
    elif message.policy is not None and (
        message.policy.expires_ms <= case.place.log_ms or record.why == Reason.EXPIRED
    ):
        expire(case, message)
    elif record.why == TOO_NEAR and message.policy is not None and message.policy.start_ms > case.place.log_ms:
        case.happen(StageChanged(key=key_of(message.id), stage=Stage.SCHEDULED, reason=Reason.SCHEDULED))
    elif (due_ms := after_abandonment(message, case.place.log_ms)) is not None:
        retry(case, message, due_ms, Reason.ABANDONED, None)
    else:
        case.ask(message, Reason.ABANDONED)
