"""How many attempts were in doubt and why, how each was resolved, and how long that took."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ops.chaos.evidence import Attempt, Evidence
from ops.chaos.rows import attempts_of, messages_of


@dataclass(frozen=True)
class Doubt:
    """One attempt that was in doubt. `cause`: what the worker got instead of an answer, or that nothing was heard of
    the call; `took_ms`: until the log knew better, None while it does not."""

    attempt: Attempt
    cause: str
    resolved: str  # resolved_sent, resolved_not_sent, reported
    took_ms: int | None


def doubts(seen: Evidence) -> list[Doubt]:
    """Every attempt that was ever in doubt, in the order of attempts."""
    began: dict[Attempt, int] = {}
    for record in seen.topics["updates"]:
        value = record.value or {}
        if value.get("event") == "doubted":
            began.setdefault(record.attempt, value["at_ms"])
    return [_doubt(seen, attempt, at_ms) for attempt, at_ms in sorted(began.items())]


def _doubt(seen: Evidence, attempt: Attempt, at_ms: int) -> Doubt:
    message, number = attempt
    cause = _cause(seen, attempt, at_ms)
    state = attempts_of(messages_of(seen), message).get(number, {})
    if state.get("answer") in ("refused", "abandoned"):
        return Doubt(attempt, cause, "resolved_not_sent", _took(seen, attempt, at_ms))
    if state.get("sid") or state.get("progress", 0):
        return Doubt(attempt, cause, "resolved_sent", _took(seen, attempt, at_ms))
    return Doubt(attempt, cause, "reported", None)


def _cause(seen: Evidence, attempt: Attempt, at_ms: int) -> str:
    """What the log had heard of the call by then."""
    heard = [record for record in seen.inputs("contact.answered.v1") if record.attempt == attempt]
    doubtful = [r.value for r in heard if r.value and r.value["answer"] == "doubtful" and r.at_ms <= at_ms]
    if not doubtful:
        return "its process ended"
    return str(doubtful[0].get("why") or f"HTTP {doubtful[0].get('http_status')}")


def causes(found: Iterable[Doubt]) -> str:
    """For people: how many by cause."""
    counted = Counter(doubt.cause for doubt in found)
    return ", ".join(f"{count} {cause}" for cause, count in counted.most_common())


def _took(seen: Evidence, attempt: Attempt, at_ms: int) -> int:
    """Until the first word on the attempt; a report may have come before the doubt."""
    known = [
        record.at_ms
        for record in seen.inputs("contact.answered.v1", "contact.reported.v1")
        if record.attempt == attempt and (record.value or {}).get("answer") != "doubtful"
    ]
    return max(0, min(known, default=at_ms) - at_ms)


def tally(found: list[Doubt]) -> dict[str, int]:
    """By resolution."""
    return {word: sum(d.resolved == word for d in found) for word in ("resolved_sent", "resolved_not_sent", "reported")}
