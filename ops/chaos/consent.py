"""Consent of one contact, read off its log by the checker's own reckoning.

A STOP closes; a START reopens if it was received more than two seconds after the last STOP. Both count by time of
receipt, whatever their order on the log; a text that was delivered again counts once, as it was first received.
Twilio's word that a person opted out is as good as a STOP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ops.chaos.evidence import Record

REOPEN_MS = 2000


@dataclass(frozen=True)
class Step:
    """From this place on the log consent is so."""

    offset: int
    at_ms: int
    closed: bool


class Consent:
    """Of one contact. `records`: its log in order."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._steps: list[Step] = []
        stops, starts = dict[str, int](), dict[str, int]()
        for record in records:
            value = record.value or {}
            start = record.kind == "contact.texted.v1" and value["intent"] == "start"
            if not (start or is_stop(record)):
                continue
            # Twilio's word has no text of its own: each is one.
            text = value["sid"] if record.kind == "contact.texted.v1" else f"@{record.offset}"
            times = starts if start else stops
            times[text] = min(times.get(text, value["at"]), value["at"])
            stopped, started = max(stops.values(), default=0), max(starts.values(), default=0)
            closed = stopped > 0 and started <= stopped + REOPEN_MS
            self._steps.append(Step(record.offset, record.at_ms, closed))

    def closed_at(self, offset: int) -> bool:
        """Whether a record at `offset` lies where consent is withdrawn."""
        return next((step.closed for step in reversed(self._steps) if step.offset < offset), False)

    def closed_since(self, at_ms: int) -> int:
        """For how long consent had been withdrawn on the log at this time, ms; 0 if it was not."""
        since = 0
        for step in self._steps:
            if step.at_ms > at_ms:
                break
            since = (since or step.at_ms) if step.closed else 0
        return at_ms - since if since else 0


def is_stop(record: Record) -> bool:
    """A text STOP, or Twilio's word for one."""
    value = record.value or {}
    if record.kind == "contact.texted.v1":
        return bool(value["intent"] == "stop")
    return record.kind in ("contact.answered.v1", "contact.reported.v1") and value.get("error") == "opted_out"
