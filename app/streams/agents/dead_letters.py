"""Dead letters of the worker: the record that could not be folded, sealed, with field and rule."""

from app.records.dead_letters import LostRecord, dead_letter
from app.records.seal import Sealer
from app.streams.engine.agent import Input, Output


class DeadLetters:
    """Makes the dead letter of an input."""

    def __init__(self, topic: str, sealer: Sealer) -> None:
        self._topic, self._sealer = topic, sealer

    def __call__(self, record: Input, field: str, rule: str) -> Output:
        """The record for `notify.deadletters`, in the partition of the input's number."""
        place = f"{record.partition}-{record.offset}"
        lost = LostRecord(
            record.topic, place, record.key, record.value, record.at_ms, list(record.headers), bool(record.unreadable)
        )
        value, made = dead_letter(self._sealer, lost, field, rule)
        return Output(self._topic, f"{record.topic}-{place}".encode(), value, record.partition, made)
