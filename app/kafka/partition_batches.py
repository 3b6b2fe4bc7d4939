"""The batches that one fetch brought of one partition: committed records, and the offset range that they stand for.

Isolation is read_committed (KIP-98): the broker sends nothing beyond the last stable offset, and names the transactions
that were aborted. Batches of those and the markers that end transactions hold no data, but their offsets count as read.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import TopicPartition

from app.kafka.aborted_transactions import AbortedTransactions
from app.kafka.batch_watch import SET_ASIDE, UNWATCHED, BatchWatch
from app.kafka.decompression import NAMES, NONE, DecompressionError, InflationLimitError
from app.kafka.legacy_batches import LegacyFormatError, legacy_records
from app.kafka.record_batches import (
    MAX_INFLATED_BYTES,
    PARSER_ERRORS,
    SMALL_BYTES,
    OpenBatch,
    header_counts,
    offset_of,
)
from app.kafka.record_format import (
    BATCH,
    CURRENT_MAGIC,
    HEADER_BYTES,
    LENGTH_OVERHEAD,
    MAGIC_AT,
    MAX_HEADERS,
    PREFIX_BYTES,
    UNUSUAL,
    BatchHeader,
    ParsedRecord,
    RecordFormatError,
    batch_header,
)

# The bytes of a batch that cannot be read are kept if the topics take them (max.message.bytes).
KEPT_BYTES = 2 << 20
# A batch may inflate to this even while others hold all that may be held: an ordinary one never waits for theirs.
FREE_BYTES = 1 << 20
_LEAST_BYTES = (LENGTH_OVERHEAD + 14, LENGTH_OVERHEAD + 14, BATCH.size)  # by format ("magic")
_MAGICS = range(len(_LEAST_BYTES))
_LENGTH_AT, _LENGTH_TO_MAGIC = 8, struct.Struct(">iib")


class Form(Protocol):
    """What records are made into. `unreadable`: why they are not as they were produced, or ""."""

    def __call__(self, tp: TopicPartition, records: Sequence[Any], unreadable: str) -> Sequence[Any]:
        """One item for each record; they have the attributes of `ParsedRecord`."""
        ...


@dataclass(slots=True)
class BatchPart:
    """What was taken of a partition: the committed records of the offsets from `first` to before `end`.

    `size`: bytes of the records, inflated, with HEADER_BYTES for each header. `work`: bytes that were inflated for
    them, and those they were inflated from. `most`: how many records may be taken. `more`: whether the fetch brought
    more. `refetch`: whether a batch came damaged and is to be fetched again.
    """

    first: int
    end: int = 0
    records: list[Any] = field(default_factory=list)
    size: int = 0
    work: int = 0
    most: int = 0
    more: bool = False
    refetch: bool = False


class PartitionBatches:
    """Stands where aiokafka keeps a `PartitionRecords`, and takes its place there.

    `refetches` is asked whether a batch that came damaged is to be fetched again, by the offset to fetch.
    """

    def __init__(
        self,
        tp: TopicPartition,
        data: bytes,
        aborted: Sequence[tuple[int, int]],
        position: int,
        form: Form,
        consecutive: bool,
        refetches: Callable[[int], bool],
        watch: BatchWatch = UNWATCHED,
    ) -> None:
        self.next_fetch_offset = position
        self._tp, self._data, self._at = tp, memoryview(data), 0
        self._transactions = AbortedTransactions(aborted)
        self._form, self._consecutive, self._refetches = form, consecutive, refetches
        self._watch = watch
        self._batch: OpenBatch | None = None
        self._too_large_at = -1  # where the batch stands that inflates to more than FREE_BYTES

    @property
    def inflated_bytes(self) -> int:
        """What the inflated batch that is being read holds in memory."""
        return self._batch.inflated_bytes if self._batch else 0

    def take(self, most_records: int, most_bytes: int, may_inflate: Callable[[], bool]) -> BatchPart:
        """The next records. A gap in the offsets ends what is taken; the next `first` then lies behind it.

        `may_inflate` is asked before each compressed batch; none that takes more than FREE_BYTES is inflated if it says
        no.
        """
        taken = BatchPart(self.next_fetch_offset, most=most_records)
        while len(taken.records) < most_records and taken.size < most_bytes and self._advance(taken, may_inflate):
            if self._batch is not None:
                self._read(self._batch, taken, most_bytes)
        self._watch.left()
        taken.end = self.next_fetch_offset
        taken.more = not taken.refetch and (self._batch is not None or self._frame() is not None)
        return taken

    def _frame(self) -> memoryview | None:
        """The next batch as it was fetched; None: the rest is none, or a part of one."""
        data, at = self._data, self._at
        if len(data) <= at + MAGIC_AT:
            return None
        length, _epoch, magic = _LENGTH_TO_MAGIC.unpack_from(data, at + _LENGTH_AT)
        size = LENGTH_OVERHEAD + length
        if magic not in _MAGICS or size < _LEAST_BYTES[magic]:
            return data[at:]
        return data[at : at + size] if at + size <= len(data) else None

    def _advance(self, taken: BatchPart, may_inflate: Callable[[], bool]) -> bool:
        """Stay in the batch that is open, or go on to the next one; False: there is none for now."""
        if self._batch is not None:
            return True
        frame = self._frame()
        return frame is not None and self._enter(frame, taken, may_inflate)

    def _enter(self, frame: memoryview, taken: BatchPart, may_inflate: Callable[[], bool]) -> bool:
        """Go on to this batch; False: not now."""
        magic = frame[MAGIC_AT]
        if magic < CURRENT_MAGIC:
            return self._take_legacy(frame, magic, taken)
        batch = DefaultRecordBatch(frame) if magic == CURRENT_MAGIC and len(frame) >= BATCH.size else None
        if batch is None or not batch.validate_crc():
            return self._damaged(frame, taken)
        if self._ends_the_process(batch, frame, taken) or self._took_whole(batch, frame, taken):
            return True
        header = batch_header(frame, 0)
        if not self._reached(header, taken) or (header.codec != NONE and not _has_room(taken)):
            return False
        passed = header.next_offset <= self.next_fetch_offset or not (header.records or self._consecutive)
        if self._holds_no_data(header, batch) or passed:
            self._at += len(frame)
            self.next_fetch_offset = max(self.next_fetch_offset, header.next_offset)
            return True
        return self._open(frame, header, taken, may_inflate)

    def _ends_the_process(self, batch: DefaultRecordBatch, frame: memoryview, taken: BatchPart) -> bool:
        """Whether this batch is gone on without, as its reading ended the process again and again. What holds no data
        (see `AbortedTransactions`) is nobody's loss."""
        deaths = self._watch.entering(self._tp, batch.base_offset, batch.next_offset - 1, batch.max_timestamp)
        if not deaths or self._holds_no_data(batch_header(frame, 0), batch):
            return False
        self._at += len(frame)
        self._set_aside(frame, batch.next_offset, f"ended the process {deaths} times", taken, SET_ASIDE)
        return True

    def _holds_no_data(self, header: BatchHeader, batch: DefaultRecordBatch) -> bool:
        return self._transactions.holds(header, batch) or header.control

    def _took_whole(self, batch: DefaultRecordBatch, frame: memoryview, taken: BatchPart) -> bool:
        """The usual batch, quickly: small, not compressed, of no transaction, and all of it may be taken."""
        first, end, position = batch.base_offset, batch.next_offset, self.next_fetch_offset
        if batch.attributes & UNUSUAL or len(frame) > SMALL_BYTES or end - first > taken.most - len(taken.records):
            return False
        if first < position or (self._consecutive and first > position):
            return False
        try:
            records = list(batch)
        except PARSER_ERRORS:
            return False
        if not records or (self._consecutive and list(map(offset_of, records)) != list(range(first, end))):
            return False
        if max(counts := header_counts(records)) > MAX_HEADERS:
            return False
        taken.records += self._form(self._tp, records, "")
        taken.size += len(frame) + HEADER_BYTES * sum(counts)
        self._at, self.next_fetch_offset = self._at + len(frame), end
        return True

    def _reached(self, header: BatchHeader, taken: BatchPart) -> bool:
        """False: between what was taken and this batch offsets are missing."""
        if self._consecutive and header.base_offset > self.next_fetch_offset:
            if self.next_fetch_offset > taken.first:
                return False
            taken.first = self.next_fetch_offset = header.base_offset
        return True

    def _open(self, frame: memoryview, header: BatchHeader, taken: BatchPart, may_inflate: Callable[[], bool]) -> bool:
        """Begin to read this batch; False: not now, it inflates to more than may be held."""
        limit = MAX_INFLATED_BYTES if header.codec == NONE or may_inflate() else FREE_BYTES
        if limit == FREE_BYTES and self._at == self._too_large_at:
            return False
        taken.work += len(frame) if header.codec != NONE else 0
        try:
            self._batch = OpenBatch(frame, header, self._consecutive, limit)
            taken.work += self._batch.inflated_bytes
        except InflationLimitError:
            taken.work += limit
            if limit == FREE_BYTES:
                self._too_large_at = self._at
                return False
            rule = f"inflates to more than {limit} bytes ({NAMES[header.codec]})"
            self._set_aside(frame, header.next_offset, rule, taken)
        except (DecompressionError, RecordFormatError) as error:
            taken.work += limit  # what was inflated before the fault is not known
            self._set_aside(frame, header.next_offset, f"cannot be read: {error}", taken)
        self._at += len(frame)
        return True

    def _read(self, batch: OpenBatch, taken: BatchPart, most_bytes: int) -> None:
        header = batch.header
        self._watch.entering(self._tp, header.base_offset, header.next_offset - 1, header.max_ms)
        try:
            records, size = batch.read(taken.most - len(taken.records), most_bytes - taken.size)
        except RecordFormatError as error:
            self._set_aside(batch.frame, batch.header.next_offset, f"cannot be read: {error}", taken)
            return
        self._add(taken, records, size)
        end = batch.header.next_offset if batch.finished() else records[-1].offset + 1
        self.next_fetch_offset = max(self.next_fetch_offset, end)
        self._batch = None if batch.finished() else batch

    def _add(self, taken: BatchPart, records: Sequence[Any], size: int) -> None:
        """Without those before the position: a fetch begins with the whole batch that the position lies in."""
        if records and records[0].offset < self.next_fetch_offset:
            records = [record for record in records if record.offset >= self.next_fetch_offset]
        taken.size += size if records else 0
        if records and isinstance(records[0], ParsedRecord):
            for record in records:
                taken.records += self._form(self._tp, [record], record.unreadable)
        else:
            taken.records += self._form(self._tp, records, "")

    def _damaged(self, frame: memoryview, taken: BatchPart) -> bool:
        """What arrived is not what was produced: fetch it again a few times, then set it aside."""
        position = self.next_fetch_offset
        if self._refetches(position):
            taken.refetch = True
            return False
        end = _believable_end(frame, position)
        # One that does not even say which offsets it holds is fetched again for the next offset, and set aside again.
        self._at = len(self._data) if end is None else self._at + len(frame)
        self._set_aside(frame, end or position + 1, "has a wrong checksum", taken)
        return True

    def _take_legacy(self, frame: memoryview, magic: int, taken: BatchPart) -> bool:
        try:
            records, end = legacy_records(frame, magic)
        except LegacyFormatError as error:
            end = self.next_fetch_offset + 1
            self._set_aside(frame, end, f"cannot be read: {error}", taken)
        else:
            self._add(taken, records, len(frame))
        self._at += len(frame)
        self.next_fetch_offset = max(self.next_fetch_offset, end)
        return True

    def _set_aside(self, frame: memoryview, end: int, what: str, taken: BatchPart, prefix: str = "") -> None:
        """One record for all offsets up to `end`, with the batch as its value if a topic can hold that."""
        count, first = end - self.next_fetch_offset, self.next_fetch_offset
        rule = f"{prefix}a batch of {len(frame)} bytes with {count} records, from offset {first} on, {what}"
        value = bytes(frame if len(frame) <= KEPT_BYTES else frame[:PREFIX_BYTES])
        at_ms = max(0, batch_header(frame, 0).max_ms) if len(frame) >= BATCH.size else 0
        taken.records += self._form(self._tp, [ParsedRecord(first, at_ms, None, value, [], rule)], rule)
        taken.size += len(value)
        self._batch, self.next_fetch_offset = None, end


def _has_room(taken: BatchPart) -> bool:
    """Whether another batch may be inflated for this turn: it keeps the thread from its heartbeats."""
    return taken.work < MAX_INFLATED_BYTES


def _believable_end(frame: memoryview, position: int) -> int | None:
    """The next offset of a damaged batch, if what its header says fits together."""
    if len(frame) < BATCH.size:
        return None
    header = batch_header(frame, 0)
    fits = header.records == header.last_offset_delta + 1 and header.base_offset <= position < header.next_offset
    return header.next_offset if fits else None
