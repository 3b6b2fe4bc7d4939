"""The last guard of a contact's row: an input that would make it longer than Kafka takes is refused, and nothing ends.

What is decided follows from row and input alone, so a replay, a repeat after a crash and any other slicing decide the
same. To encode every row after every input would double the cost of long ones, so a bound is kept of each, and the row
encoded only when the bound is over the limit.
"""

from app.domain.fold import Folded
from app.domain.model.consent_texts import ConsentTextRedated
from app.domain.model.contact import Contact
from app.domain.model.events import CheckpointKept, ConsentChanged, OutcomeGiven
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.inputs import TimerDue
from app.domain.model.number_events import NumberChanged
from app.domain.model.row_limits import GROWTH_BYTES, ROW_BYTES, row_bytes

# What an event adds to a row at most, beside what it takes from its input: times and words of a message's attempts.
EVENT_BYTES = 2_048
# Rows whose bound is known; then all are forgotten, and encoded once when they are next folded.
MOST_KNOWN = 4_096
_MUST_PASS = (OutcomeGiven, ConsentChanged, ConsentTextRedated, NumberChanged, CheckpointKept)


class RowGuard:
    """Bounds by contact, each with the watermark of the row that it is of: any other row makes it void."""

    def __init__(self) -> None:
        self._bounds: dict[bytes, tuple[int, int]] = {}

    def limit_broken(
        self, key: bytes, before: Contact | None, record: ContactInput, length: int, folded: Folded
    ) -> int | None:
        """The limit in bytes that the row would break after this input (`length`: of its record), None if none.

        A row that is not written, or does not grow, breaks none.
        """
        if not folded.changed:
            return None
        bound = self.bound(key, before) + length + EVENT_BYTES * (1 + len(folded.events))
        if bound > GROWTH_BYTES:
            bound, limit = row_bytes(folded.contact), _limit(record, folded)
            if bound > limit and (before is None or bound > row_bytes(before)):
                return limit
        if len(self._bounds) >= MOST_KNOWN:
            self._bounds.clear()
        self._bounds[key] = (folded.contact.watermark, bound)
        return None

    def bound(self, key: bytes, row: Contact | None) -> int:
        """No less than the length of the row."""
        if row is None:
            return 0
        watermark, bound = self._bounds.get(key, (-1, 0))
        return bound if bound and watermark == row.watermark else row_bytes(row)

    def forget(self, key: bytes) -> None:
        """The row is another than was folded."""
        self._bounds.pop(key, None)


def _limit(record: ContactInput, folded: Folded) -> int:
    """The limit of the row in bytes: what ends a message or changes consent is never refused for what others filled."""
    must_pass = isinstance(record, TimerDue) or any(isinstance(event, _MUST_PASS) for event in folded.events)
    return ROW_BYTES if must_pass else GROWTH_BYTES
