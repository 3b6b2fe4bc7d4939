"""Decisions on due timers. A due input is void unless the row still says the same."""

from msgspec.structs import replace

from app.domain.model.contact import Message, last_attempt_no
from app.domain.model.effects import CheckpointRequest
from app.domain.model.events import CheckpointKept, MessageForgotten
from app.domain.model.inputs import CheckpointWritten, TimerDue
from app.domain.model.vocabulary import DueKind, OutcomeWord, Reason
from app.domain.rules.attempt_evaluation import conclude_at_deadline, end_attempts, expire, mark_in_doubt
from app.domain.rules.decision_context import DecisionContext, key_of
from app.domain.rules.schedule import dues
from app.domain.rules.suppression import suppression_of


def due(case: DecisionContext, record: TimerDue) -> None:
    """Decide on a timer that came due; void unless the row still says the same."""
    if record.kind is DueKind.CHECKPOINT:
        if record.based == case.contact.based_offset:
            case.effect(CheckpointRequest())
        return
    message = case.find(record.message_id)
    if message is None or (record.kind, record.due_ms) not in dues(message):
        return
    match record.kind:
        case DueKind.START | DueKind.RETRY:
            _start(case, message, record.kind)
        case DueKind.DOUBT:
            mark_in_doubt(case, message, last_attempt_no(message))
        case DueKind.EXPIRE:
            expire(case, message)
        case DueKind.OUTCOME:
            conclude_at_deadline(case, message)
        case DueKind.LOOK | DueKind.RECALL:
            return
        case DueKind.FORGET:
            case.record(MessageForgotten(key=key_of(message.id)))


def checkpointed(case: DecisionContext, record: CheckpointWritten) -> None:
    """Nothing changes but where the row can be folded from; void if the row is no more what the record carries.

    Where a table is built anew from a log whose older part is gone, the row began later than the one the record
    carries, and that one takes its place, if nothing came between the two.
    """
    now, at, offset = case.contact, case.place.log_ms, case.place.offset
    if replace(record.row, watermark=now.watermark, touched_ms=now.touched_ms) == now:
        case.record(CheckpointKept(at_ms=at, offset=offset))
    elif record.row.based_offset < now.based_offset and record.row.watermark == now.watermark:
        case.record(CheckpointKept(at_ms=at, offset=offset, restored=record.row))


def _start(case: DecisionContext, message: Message, kind: DueKind) -> None:
    if (bar := suppression_of(case.contact, message)) is not None:
        end_attempts(case, message, OutcomeWord.SUPPRESSED, bar)
    elif not case.contact.frozen:
        case.ask(message, Reason.SCHEDULED if kind is DueKind.START else message.reason or Reason.TRANSIENT)
