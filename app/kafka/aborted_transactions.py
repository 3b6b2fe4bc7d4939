"""Which batches of a fetch belong to transactions that were aborted (KIP-98, isolation read_committed)."""

from collections.abc import Sequence

from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch

from app.kafka.record_format import BatchHeader


class AbortedTransactions:
    """Which batches belong to transactions that were aborted. `aborted`: producer id and first offset of each."""

    def __init__(self, aborted: Sequence[tuple[int, int]]) -> None:
        self._waiting = sorted(aborted, key=lambda one: one[1], reverse=True)
        self._open = set[int]()

    def holds(self, header: BatchHeader, batch: DefaultRecordBatch) -> bool:
        """Whether this batch, the next of the log, is to be left out. A marker is neither."""
        while self._waiting and self._waiting[-1][1] <= header.base_offset:
            self._open.add(self._waiting.pop()[0])
        if header.control and header.producer_id in self._open and _is_abort(batch):
            self._open.discard(header.producer_id)
        return header.transactional and header.producer_id in self._open


def _is_abort(batch: DefaultRecordBatch) -> bool:
    marker = next(iter(batch), None)
    return marker is not None and bool(ControlRecord.parse(marker.key) == ABORT_MARKER)
