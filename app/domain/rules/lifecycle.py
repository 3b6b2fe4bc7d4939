"""The stages of a message and every transition that an input may cause: the table, and the diagram drawn from it.

The fold decides by rules (see the handlers); this table states what those rules may do. A property test folds random
logs and fails on a transition that is not in the table. None as a source: there is no row yet. None as a target: the
row is dropped. A stage that stays as it is needs no entry.
"""

from collections.abc import Mapping

from app.domain.model.inputs import Input, TimerDue
from app.domain.model.vocabulary import Stage

SCHEDULED, WAITING, RETRYING, FLYING, FINAL = Stage.SCHEDULED, Stage.WAITING, Stage.RETRYING, Stage.FLYING, Stage.FINAL
Targets = frozenset[Stage | None]


def _to(*stages: Stage | None) -> Targets:
    return frozenset(stages)


# No further attempt may start: final, or in flight again where an earlier attempt may still arrive.
ENDED = _to(FINAL, FLYING)
# A create result that comes late, after the attempt was in doubt and another one was planned.
LATE_RESULT = _to(FINAL, FLYING, WAITING, RETRYING, SCHEDULED)

# Inputs that may suppress any message of the contact: a STOP, a number that is not valid any more, a filtered text.
_SUPPRESSING: Mapping[str, Targets] = {"texted": ENDED, "reported": ENDED, "listed": ENDED}

TRANSITIONS: Mapping[Stage | None, Mapping[str, Targets]] = {
    None: {
        "requested": _to(SCHEDULED, WAITING, FINAL),
        "rejected": _to(FINAL),
        "checkpointed": _to(SCHEDULED, WAITING, RETRYING, FLYING, FINAL),
    },
    SCHEDULED: {
        **_SUPPRESSING,
        "answered": ENDED,
        "due start": ENDED | {WAITING},
        "due expire": ENDED,
        "cancel_requested": ENDED,
    },
    WAITING: {
        **_SUPPRESSING,
        "answered": LATE_RESULT,
        "turn_granted": ENDED,
        "due expire": ENDED,
        "cancel_requested": ENDED,
    },
    RETRYING: {
        **_SUPPRESSING,
        "answered": LATE_RESULT,
        "due retry": ENDED | {WAITING},
        "due expire": ENDED,
        "cancel_requested": ENDED,
    },
    FLYING: {
        "answered": _to(FINAL, RETRYING, WAITING, SCHEDULED),
        "reported": _to(FINAL, RETRYING),
        "listed": _to(FINAL, RETRYING),
        "recalled": _to(FINAL),
        "due doubt": _to(RETRYING),
        "due outcome": _to(FINAL),
    },
    FINAL: {"due forget": _to(None)},
}


def input_kind(record: Input) -> str:
    """The name of an input in the table: its record type without `contact.` and version, of a timer with its kind."""
    tag = str(type(record).__struct_config__.tag)
    return f"due {record.kind}" if isinstance(record, TimerDue) else tag.split(".")[1]


def is_allowed(before: Stage | None, kind: str, after: Stage | None) -> bool:
    """True if an input of this kind may take a message from `before` to `after`."""
    return before == after or after in TRANSITIONS[before].get(kind, ())


def diagram() -> str:
    """The table as a Mermaid state diagram: one arrow per pair of stages, named by the inputs that cause it."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for before, causes in TRANSITIONS.items():
        for kind, targets in causes.items():
            for after in [stage for stage in (*Stage, None) if stage in targets and stage != before]:
                arrows.setdefault((before or "[*]", after or "[*]"), []).append(kind)
    lines = [f"    {before} --> {after}: {', '.join(kinds)}" for (before, after), kinds in arrows.items()]
    return "\n".join(["stateDiagram-v2", *lines])
