"""Events folded into rows. No decision is taken here: what happened, happened."""

from collections.abc import Mapping
from typing import assert_never

from msgspec.structs import replace

from app.domain.model.attempt_retention import with_attempt
from app.domain.model.consent_texts import ConsentTextRedated, consent_after, with_text
from app.domain.model.contact import (
    REACHABLE,
    Attempt,
    ConsentText,
    Contact,
    Failure,
    Message,
    NumberHealth,
    StatusStep,
    get_attempt,
    may_arrive,
    possible_duplicate,
)
from app.domain.model.events import (
    AttemptClaimed,
    AttemptDoubted,
    AttemptProgressed,
    CancelKept,
    CancelNoted,
    CheckpointKept,
    ConsentChanged,
    CreateResultRecorded,
    Event,
    InferredSidWithdrawn,
    InputRefused,
    LineTypeRecorded,
    MediaDropped,
    MessageForgotten,
    MessageOpened,
    OutcomeGiven,
    ReconciliationMade,
    RequestConflicted,
    RequestRepeated,
    ScheduledCancelFailed,
    ScheduledCancelRequested,
    StageChanged,
    TextReceived,
    TextsRemembered,
)
from app.domain.model.frozen_contact import ContactUnfrozen, thaw
from app.domain.model.inputs import LogPosition
from app.domain.model.number_events import FailuresForgotten, NumberChanged, NumberFailed, TextFiltered
from app.domain.model.row_limits import (
    CANCEL_KEPT_MS,
    FAILURES_KEPT_MS,
    KEPT_FAILURES,
    KEPT_FILTERED,
    KEPT_TEXTS,
    MOST_STEPS,
)
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, ErrorClass, Intent, Provenance, Stage

Messages = Mapping[str, Message]
Rows = tuple[Contact, Messages]


def evolve(contact: Contact, rows: Messages, event: Event, place: LogPosition) -> Rows:
    """The rows after `event`: the contact's, and those of messages that the input names, by key."""
    match event:
        case AttemptProgressed() | CreateResultRecorded() | AttemptClaimed():  # most of what happens, found first
            return _message(contact, rows, event, place)
        case MessageOpened(key=key, message=message):
            ahead = {k: at for k, at in contact.canceled_ahead.items() if k != key}
            return replace(contact, messages={**contact.messages, key: message}, canceled_ahead=ahead), rows
        case MessageForgotten(key=key):
            return contact, {k: m for k, m in rows.items() if k != key}
        case ConsentChanged():
            return _consent(contact, event), rows
        case ConsentTextRedated(text=text):
            return replace(contact, consent=with_text(contact.consent, text)), rows
        case TextReceived(sid=sid):
            return replace(contact, texts=(*contact.texts, sid)[-KEPT_TEXTS:]), rows
        case LineTypeRecorded(line_type=line_type, at_ms=at):
            return replace(contact, line_type=line_type, line_ms=at), rows
        case TextsRemembered(texts=texts):
            return replace(contact, listed=texts), rows
        case CancelKept(key=key, at_ms=at):
            return replace(contact, canceled_ahead=_with_cancel(contact.canceled_ahead, key, at)), rows
        case CheckpointKept(at_ms=at, offset=offset, restored=restored):
            return replace(restored or contact, based_ms=at, based_offset=offset), rows
        case NumberFailed() | NumberChanged() | FailuresForgotten():
            return replace(contact, number=_number(contact.number, event)), rows
        case TextFiltered(digest=digest, lifted=lifted):
            others = tuple([known for known in contact.filtered if known != digest])
            return replace(contact, filtered=others if lifted else (*others, digest)[-KEPT_FILTERED:]), rows
        case ContactUnfrozen():
            return thaw(contact, event), rows
        case InputRefused() | RequestConflicted() | RequestRepeated():
            return contact, rows
        case _:
            return _message(contact, rows, event, place)


def _with_cancel(ahead: dict[str, int], key: str, at_ms: int) -> dict[str, int]:
    """The oldest first; those that hold no longer go."""
    kept = {other: at for other, at in ahead.items() if at_ms - at <= CANCEL_KEPT_MS and other != key}
    return {**kept, key: at_ms}


MessageEvent = (
    StageChanged
    | AttemptClaimed
    | CreateResultRecorded
    | AttemptProgressed
    | AttemptDoubted
    | InferredSidWithdrawn
    | ReconciliationMade
    | MediaDropped
    | OutcomeGiven
    | CancelNoted
    | ScheduledCancelRequested
    | ScheduledCancelFailed
)


def _message(contact: Contact, rows: Messages, event: MessageEvent, place: LogPosition) -> Rows:
    message = contact.messages.get(event.key)
    if message is not None:
        return replace(contact, messages={**contact.messages, event.key: _apply(message, event)}), rows
    changed = replace(_apply(rows[event.key], event), watermark=place.offset)
    return contact, {**rows, event.key: changed}


def _apply(message: Message, event: MessageEvent) -> Message:
    match event:
        case AttemptProgressed(n=n):
            return _with_attempt(message, n, _progressed(get_attempt(message, n), event))
        case StageChanged(stage=stage, asked=asked, due_ms=due, reason=reason):
            return replace(message, stage=stage, asked=asked, due_ms=due, reason=reason)
        case AttemptClaimed():
            return _claimed(message, event)
        case CreateResultRecorded(n=n):
            return _with_attempt(message, n, _answered(get_attempt(message, n), event))
        case AttemptDoubted(n=n, at_ms=at):
            return _with_attempt(message, n, replace(get_attempt(message, n), doubtful=True, doubted_ms=at))
        case InferredSidWithdrawn(n=n):
            return _with_attempt(message, n, _unbound(get_attempt(message, n)))
        case ReconciliationMade(at_ms=at):
            return replace(message, attempts=tuple(_looked(attempt, at) for attempt in message.attempts))
        case MediaDropped():
            return replace(message, plain=True)
        case OutcomeGiven():
            return _concluded(message, event)
        case CancelNoted(at_ms=at):
            return replace(message, cancel_requested_ms=at)
        case ScheduledCancelRequested(reason=reason, at_ms=at):
            return replace(message, recall=reason, recall_ms=at)
        case ScheduledCancelFailed():
            return replace(message, recall_ms=0)
        case _:
            assert_never(event)


def _with_attempt(message: Message, n: int, attempt: Attempt) -> Message:
    return replace(message, attempts=tuple(attempt if old.n == n else old for old in message.attempts))


def _claimed(message: Message, event: AttemptClaimed) -> Message:
    attempt = Attempt(
        n=event.n, claimed_ms=event.at_ms, claimed_offset=event.offset, plain=message.plain, probe=event.probe
    )
    attempts, dropped = with_attempt(message.attempts, attempt)
    dropped += message.attempts_dropped
    return replace(message, stage=Stage.FLYING, asked=0, due_ms=0, attempts=attempts, attempts_dropped=dropped)


def _concluded(message: Message, event: OutcomeGiven) -> Message:
    return replace(
        message,
        stage=Stage.FINAL,
        word=event.word,
        reason=event.reason,
        revision=event.revision,
        duplicate=possible_duplicate(message),
        final_ms=message.final_ms or event.at_ms,
        field=event.field,
        rule=event.rule,
        sealed="",
        asked=0,
        due_ms=0,
    )


def _answered(attempt: Attempt, event: CreateResultRecorded) -> Attempt:
    attempt = replace(
        attempt,
        answer=event.answer,
        answered_ms=event.at_ms,
        started_ms=event.started_ms,
        sid=event.sid or attempt.sid,
        inferred=attempt.inferred and not event.sid,
        segments=event.segments or attempt.segments,
    )
    if event.answer is CreateResult.ABANDONED:
        return attempt
    return _learn(attempt, event.progress, event.at_ms, Provenance.ANSWER, event.code, event.error)


def _number(number: NumberHealth, event: NumberFailed | NumberChanged | FailuresForgotten) -> NumberHealth:
    """One failure per message is kept: the one that says most; and none for longer than it counts."""
    match event:
        case NumberFailed(told_by=key, at_ms=at, invalid_after=after):
            others = [f for f in number.failures if f.key != key and at - f.at_ms <= FAILURES_KEPT_MS]
            return NumberHealth(failures=(*others, Failure(key, at, after))[-KEPT_FAILURES:])
        case NumberChanged(why=why, at_ms=at, code=code) if why is not None:
            return NumberHealth(why=why, since_ms=at, code=code)
        case NumberChanged() | FailuresForgotten():
            return REACHABLE


def _progressed(attempt: Attempt, event: AttemptProgressed) -> Attempt:
    if not attempt.sid or attempt.inferred != event.inferred:
        attempt = replace(attempt, sid=attempt.sid or event.sid, inferred=event.inferred)
    if event.hold_ms > attempt.hold_ms:
        attempt = replace(attempt, hold_ms=event.hold_ms)
    return _learn(attempt, event.progress, event.at_ms, event.provenance, event.code, event.error)


def _unbound(attempt: Attempt) -> Attempt:
    """As if the list had never been asked."""
    kept = [step for step in attempt.learnt if step.provenance is not Provenance.RECONCILED]
    bare = replace(attempt, sid="", inferred=False, progress=DeliveryStatus.CLAIMED, code=None, error=None, learnt=())
    for step in kept:
        bare = _learn(bare, step.progress, step.at_ms, step.provenance, step.code, step.error)
    return bare


def _looked(attempt: Attempt, at_ms: int) -> Attempt:
    return replace(attempt, looks=attempt.looks + 1, looked_ms=at_ms) if may_arrive(attempt) else attempt


def _learn(
    attempt: Attempt,
    progress: DeliveryStatus,
    at_ms: int,
    provenance: Provenance,
    code: int | None,
    error: ErrorClass | None,
) -> Attempt:
    """Progress only rises; the error is that of the highest rank, ties by the smallest code: order-proof."""
    learnt = (*attempt.learnt, StatusStep(progress, at_ms, provenance, code, error))
    if error is None and code is None:
        return replace(attempt, progress=max(attempt.progress, progress), learnt=learnt)
    worst = max((step for step in learnt if step.error or step.code), key=lambda s: (s.progress, -(s.code or 0)))
    best = max(attempt.progress, progress)
    if len(learnt) > MOST_STEPS:
        learnt = _without_one(learnt, worst)
    return replace(attempt, progress=best, learnt=learnt, code=worst.code, error=worst.error)


def _without_one(learnt: tuple[StatusStep, ...], worst: StatusStep) -> tuple[StatusStep, ...]:
    """One step less: the last that is neither the first of its rank nor the worst. There is one, for there are fewer
    ranks than steps."""
    ranks = [step.progress for step in learnt]
    at = max(n for n, step in enumerate(learnt) if ranks.index(step.progress) < n and step is not worst)
    return (*learnt[:at], *learnt[at + 1 :])


def _consent(contact: Contact, event: ConsentChanged) -> Contact:
    stop, consent = event.intent is Intent.STOP, contact.consent
    evidence = f"{event.source}:{event.sid}@{event.offset}" if event.changed else consent.evidence
    consent = replace(
        consent_after(consent, ConsentText(event.sid, event.intent, event.received_ms), event.source),
        opted_out=event.opted_out,
        source=event.source if event.changed else consent.source,
        evidence=evidence,
        stopped_log_ms=event.log_ms if stop else consent.stopped_log_ms,
        stopped_offset=event.offset if stop else consent.stopped_offset,
    )
    return replace(contact, consent=consent)
