"""The fold of one record, in a cycle and in a replay: what a record can do wrong concerns that record alone.

A record that is refused becomes a dead letter and changes no row. One whose fold raises does too, and its contact
freezes, as its state is unknown. One that cannot be folded at all (it ended the process, or Kafka refuses what it
makes) is set aside: the same, and the agent puts on the log that it was, so that a replay skips it as well.
"""

from collections.abc import Iterator

import structlog

from app.errors import HeliographError
from app.streams.engine.agent import FoldingAgent, Input, UnreadableRecordError
from app.streams.engine.overlay import Overlay
from app.telemetry import frames_of

_log = structlog.get_logger("app.streams.engine")
Steps = Iterator[float]


class SetAsideError(HeliographError):
    """Stands for the fault of a record that is not folded."""


def fold_record(agent: FoldingAgent, record: Input, overlay: Overlay) -> Steps | None:
    """Fold one record. Returns the steps that are left of a fold that is done in steps (see `FoldingAgent.fold`), to be
    taken by `next_step`. `overlay.latest` then tells the rows that the record changed."""
    overlay.begin()
    try:
        if record.unreadable:
            raise UnreadableRecordError("", record.unreadable)
        return agent.fold(record, overlay)
    except UnreadableRecordError as refused:
        _refuse(agent, record, overlay, refused)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not crash-loop the partition
        _freeze(agent, record, overlay, error)
    return None


def next_step(agent: FoldingAgent, record: Input, overlay: Overlay, steps: Steps) -> float | None:
    """Take one step: the seconds to wait before the next, None after the last."""
    try:
        return next(steps)
    except StopIteration:
        return None
    except UnreadableRecordError as refused:
        _refuse(agent, record, overlay, refused)
    except Exception as error:  # noqa: BLE001 - see `fold_record`
        _freeze(agent, record, overlay, error)
    return None


def fold_whole(agent: FoldingAgent, record: Input, overlay: Overlay) -> None:
    """Fold one record with all its steps at once, as a replay does; nothing is waited for."""
    steps = fold_record(agent, record, overlay)
    while steps is not None and next_step(agent, record, overlay, steps) is not None:
        continue


def set_aside(agent: FoldingAgent, record: Input, overlay: Overlay, rule: str) -> None:
    """Do without a record: its dead letter, a frozen contact, and word of it on the log. `rule`: why."""
    where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    _log.error("record.set_aside", agent=agent.name, rule=rule, **where)
    overlay.begin()
    overlay.emit(agent.dead_letter(record, "record", rule))
    agent.set_aside(record, overlay)
    agent.frozen(record, overlay, SetAsideError(rule))


def _refuse(agent: FoldingAgent, record: Input, overlay: Overlay, refused: UnreadableRecordError) -> None:
    overlay.undo()
    overlay.emit(agent.dead_letter(record, refused.field, refused.rule))


def _freeze(agent: FoldingAgent, record: Input, overlay: Overlay, error: Exception) -> None:
    where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    _log.error("input.froze", agent=agent.name, error=type(error).__name__, frames=frames_of(error), **where)
    overlay.undo()
    overlay.emit(agent.dead_letter(record, "", f"fault of ours: {type(error).__name__}"))
    agent.frozen(record, overlay, error)
