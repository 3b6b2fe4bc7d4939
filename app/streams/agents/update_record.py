"""The `notify.updated.v1` record of one event: what happened to the message, the state it led to, and why."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from app.clock import iso
from app.domain.model import events as e
from app.domain.model.consent_texts import ConsentTextRedated
from app.domain.model.contact import Message, last_attempt_no, segments_of
from app.domain.model.frozen_contact import ContactUnfrozen
from app.domain.model.number_events import FailuresForgotten, NumberChanged, NumberFailed, TextFiltered
from app.domain.model.vocabulary import STATUS_WORDS, CreateResult, DeliveryStatus, OutcomeWord
from app.records.envelope import Cause
from app.records.updates import NotifyUpdated

# Events that have a record of their own (or, progress, a faster way to their update), or that only the row shows.
_WITHOUT_UPDATE = (
    e.ConsentChanged
    | NumberChanged
    | e.TextReceived
    | e.InputRefused
    | e.AttemptProgressed
    | TextFiltered
    | e.LineTypeRecorded
    | NumberFailed
    | FailuresForgotten
    | e.ReconciliationMade
    | e.TextsRemembered
    | e.CheckpointKept
    | ContactUnfrozen
    | ConsentTextRedated
)


def update_record(
    message_id: str,
    message: Message | None,
    event: e.Event,
    cause: Cause,
    at_ms: int,
    tenant: str,
    answered: Mapping[str, object],
) -> NotifyUpdated:
    """The update of one event.

    `message`: as it stands after the input, None if there is none; `at_ms`: log time of the input, ms since the epoch;
    `answered`: fields that answer the request (see `request_answers`). Raises AssertionError for an event without one.
    """
    policy = message.policy if message else None
    words = _progressed(event) if type(event) is e.AttemptProgressed else dict(_words(message, event))
    return NotifyUpdated(
        id=f"{message_id}@{cause.partition}-{cause.offset}-{cause.index}",
        at=iso(at_ms),
        at_ms=at_ms,
        tenant=tenant,
        message_id=message_id,
        cause=cause,
        country=message.country if message else "",
        lane=policy.lane if policy else "",
        category=policy.category if policy else "",
        priority=policy.priority if policy else "",
        segments=segments_of(message) if message else 0,
        **words,  # type: ignore[arg-type]
        **answered,  # type: ignore[arg-type]
    )


def _progressed(event: e.AttemptProgressed) -> dict[str, object]:
    """The most frequent event by far, without the detour. Words stay enumerations: to ask for their value is dear."""
    return {
        "event": "progressed",
        "state": STATUS_WORDS[event.progress],
        "reason": event.error or "reported",
        "attempt": event.n,
        "message_sid": event.sid,
        "error_class": event.error or "",
        "error_code": event.code,
        "provenance": event.provenance,
    }


def _words(message: Message | None, event: e.Event) -> Iterator[tuple[str, object]]:
    """What is peculiar to the event: its word, the state it led to, its reason."""
    if isinstance(event, _WITHOUT_UPDATE):
        raise AssertionError("has no update")
    match event:
        case e.MessageOpened(message=opened):
            yield from _said("opened", opened.stage, "requested")
        case e.StageChanged(stage=stage, reason=reason, asked=asked, error=error, code=code):
            yield from _said("stage", stage, reason, asked, error, code)
        case e.AttemptClaimed(n=n):
            yield from _said("claimed", "claimed", "turn_granted", n)
        case e.CreateResultRecorded(n=n, answer=answer, error=error, code=code, why=why):
            yield from _said(answer.value, answer.value, error or why or answer.value, n, error, code)
            yield "message_sid", event.sid
            if answer is CreateResult.TAKEN and message is not None and event.started_ms:
                yield "request_to_create_ms", max(0, event.started_ms - message.requested_ms)
        case e.AttemptDoubted(n=n):
            yield from _said("doubted", "in_doubt", "no_answer", n)
        case e.InferredSidWithdrawn(n=n):
            yield from _said("unbound", "in_doubt", "no_answer", n)
        case e.OutcomeGiven(word=word, reason=reason, revision=revision):
            yield from _said("outcome", word, reason, last_attempt_no(message) if message else 0, *_error(message))
            yield "revision", revision
            took = _delivery_ms(message, event) if message is not None and word is OutcomeWord.DELIVERED else None
            if took is not None:
                yield "create_to_delivered_ms", took
        case e.RequestConflicted() | e.RequestRepeated():
            return  # see request_answers
        case e.CancelKept():
            yield from _said("cancel_kept", "canceled", "cancel_requested")
        case e.CancelNoted() | e.ScheduledCancelRequested() | e.ScheduledCancelFailed() | e.MediaDropped():
            yield from _standing(message, event)
        case e.MessageForgotten():
            yield from _said("forgotten", "final", "final")
        case _:
            assert_never(event)


def _standing(
    message: Message | None,
    event: e.CancelNoted | e.ScheduledCancelRequested | e.ScheduledCancelFailed | e.MediaDropped,
) -> Iterator[tuple[str, object]]:
    """What left the message where it stands: a wish that it be not sent, or that it goes without its media."""
    stage = message.stage if message else ""
    match event:
        case e.CancelNoted():
            yield from _said("cancel_noted", stage, "cancel_requested")
        case e.ScheduledCancelRequested(reason=reason):
            yield from _said("recall_wanted", stage, reason)
        case e.ScheduledCancelFailed(code=code):
            yield from _said("recall_ended", stage, "too_late", code=code)
        case e.MediaDropped():
            yield from _said("media_dropped", stage, "mms_impossible")


def _said(
    event: str, state: str, reason: str, attempt: int = 0, error: str | None = None, code: int | None = None
) -> Iterator[tuple[str, object]]:
    yield "event", event
    yield "state", str(state)
    yield "reason", str(reason)
    yield "attempt", attempt
    yield "error_class", str(error or "")
    yield "error_code", code


def _error(message: Message | None) -> tuple[str | None, int | None]:
    if message is None or not message.attempts:
        return None, None
    last = max(message.attempts, key=lambda a: a.progress)
    return (None, None) if last.progress >= DeliveryStatus.DELIVERED else (last.error, last.code)


def _delivery_ms(message: Message, event: e.OutcomeGiven) -> int | None:
    done = next((a for a in message.attempts if a.progress >= DeliveryStatus.DELIVERED), None)
    if done is None or not done.started_ms:
        return None
    # What Twilio held counts from its time.
    held_ms = message.policy.start_ms if message.policy and message.policy.handed_over else 0
    return max(0, event.at_ms - max(done.started_ms, held_ms))
