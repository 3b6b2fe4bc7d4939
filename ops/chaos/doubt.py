"""How many attempts were in doubt, how each was resolved, and how long that took."""

from dataclasses import dataclass

from ops.chaos.checker import messages_of
from ops.chaos.evidence import Attempt, Evidence


@dataclass(frozen=True)
class Doubt:
    """One attempt that was in doubt. `took_ms`: until the log knew better, None while it does not."""

    attempt: Attempt
    resolved: str  # resolved_sent, resolved_not_sent, reported
    took_ms: int | None


def doubts(seen: Evidence) -> list[Doubt]:
    """Every attempt that was ever in doubt, in the order of attempts."""
    began: dict[Attempt, int] = {}
    for record in seen.topics["updates"]:
        value = record.value or {}
        if value["event"] == "doubted":
            began.setdefault(record.attempt, value["at_ms"])
    return [_doubt(seen, attempt, at_ms) for attempt, at_ms in sorted(began.items())]


def _doubt(seen: Evidence, attempt: Attempt, at_ms: int) -> Doubt:
    message, number = attempt
    attempts = messages_of(seen).get(message, {}).get("attempts", [])
    state = attempts[number - 1] if number <= len(attempts) else {}
    if state.get("answer") in ("refused", "abandoned"):
        return Doubt(attempt, "resolved_not_sent", _took(seen, attempt, at_ms))
    if state.get("sid") or state.get("progress", 0):
        return Doubt(attempt, "resolved_sent", _took(seen, attempt, at_ms))
    return Doubt(attempt, "reported", None)


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
