"""What a log must be for its inputs to be read on: a start that finds it otherwise ends, and an operator must act."""

from collections.abc import Mapping
from typing import Any

from app.streams.engine.process_exit import CONFIG, die


def refuse_deleted(wanted: Mapping[Any, int], firsts: Mapping[Any, int]) -> None:
    """Inputs that nobody folded are gone from the log, and no new start brings them back. `wanted`: offset to go on at
    by partition; `firsts`: first offset that is left."""
    gaps = [(tp, at, firsts[tp]) for tp, at in sorted(wanted.items()) if firsts[tp] > at]
    if gaps:
        told = ", ".join(f"{tp.topic}-{tp.partition} {at} to {first - 1}" for tp, at, first in gaps)
        die(f"inputs were deleted before they were read: {told} (runbook worker-exits-78)", CONFIG)


def refuse_recreated(committed: Mapping[Any, int | None], ends: Mapping[Any, int | None]) -> None:
    """A log ends before the offset that was committed of it: it is another one."""
    for tp, end in ends.items():
        offset = committed.get(tp)
        if offset is not None and end is not None and offset > end:
            told = f"{tp.topic}-{tp.partition} ends at {end} but {offset} was committed"
            die(f"{told}: the topic was re-created", CONFIG)
