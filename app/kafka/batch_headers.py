"""Headers of Kafka record batches (magic 2), read without opening what the batches hold.

Source: Kafka's RecordBatch format, https://kafka.apache.org/documentation/#recordbatch
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# baseOffset, batchLength, partitionLeaderEpoch, magic, crc, attributes, lastOffsetDelta, baseTimestamp, maxTimestamp,
# producerId
_HEADER = struct.Struct(">qiibIhiqqq")
_LENGTH_END = 12  # baseOffset and batchLength: the length counts from here
TRANSACTIONAL, CONTROL = 0x10, 0x20


class BatchSummary(NamedTuple):
    """`last`: offset of its last record; `transactional`, `control`: bits of its attributes."""

    first: int
    last: int
    producer_id: int
    transactional: bool
    control: bool


def batch_headers(raw: bytes) -> Iterator[BatchSummary]:
    """Headers in `raw`, as a fetch response holds them; a header that is cut off at the end is left out."""
    at = 0
    while at + _HEADER.size <= len(raw):
        first, length, _, _, _, attributes, delta, _, _, producer_id = _HEADER.unpack_from(raw, at)
        yield BatchSummary(
            first, first + delta, producer_id, bool(attributes & TRANSACTIONAL), bool(attributes & CONTROL)
        )
        at += _LENGTH_END + max(length, _HEADER.size - _LENGTH_END)


def visible(headers: Iterable[BatchSummary], aborted: Iterable[tuple[int, int]], start: int) -> Iterator[BatchSummary]:
    """Batches from offset `start` on of which a read_committed consumer gets records.

    `aborted`: producer id and first offset of each aborted transaction in the range, as the fetch response lists them.
    """
    waiting, active = sorted(aborted, key=lambda one: one[1]), set[int]()
    for header in headers:
        while waiting and waiting[0][1] <= header.last:
            active.add(waiting.pop(0)[0])
        if header.control:
            active.discard(header.producer_id)
        elif header.last >= start and not (header.transactional and header.producer_id in active):
            yield header
