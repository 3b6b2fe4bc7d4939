"""One record batch, read a chunk at a time: however many records it holds, only a chunk of them is in memory.

A chunk goes through aiokafka's compiled parser, as a batch of its own that is not compressed. Our own parser takes over
where that one fails (a header name that is not UTF-8) or where its result would have no bound (a very large record).
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatch

from app.kafka.decompression import NONE, decompress
from app.kafka.record_format import (
    BATCH,
    HEADER_BYTES,
    MAX_HEADERS,
    BatchHeader,
    ParsedRecord,
    RecordFormatError,
    header_count,
    parse_record,
    record_span,
    too_many_headers,
)

# A batch inflates to no more than this. A producer's batch has at most 2 MB on the wire (max.message.bytes), usually
# 16 kB to 1 MB; notify events compress 5 to 20 times, so 32 MB holds what honest producers send, and that a worker
# inflates one such batch of a partition at a time costs it no more than that much memory.
MAX_INFLATED_BYTES = 32 << 20

# A batch up to this size is parsed whole; of a larger one the lengths of the records are looked at first, and so much
# is parsed at once. The smallest header takes 2 bytes, so that has 131,000 headers at most (some 10 MB in memory).
SMALL_BYTES = 1 << 18
# A shorter record has no more than MAX_HEADERS.
_MANY_HEADERS_BYTES = 2 * MAX_HEADERS

# What aiokafka's parser raises of a record that it cannot take.
PARSER_ERRORS = (ValueError, IndexError, KafkaError)
offset_of, _headers_of = attrgetter("offset"), attrgetter("headers")


def header_counts(records: Sequence[Any]) -> list[int]:
    """How many headers each record has."""
    return list(map(len, map(_headers_of, records)))


class OpenBatch:
    """A batch of which a part is read. `frame`: the batch as fetched, its checksum proved.

    `consecutive`: the offsets of its records must follow one another, as in every log that is not compacted.
    """

    def __init__(self, frame: memoryview, header: BatchHeader, consecutive: bool, limit: int) -> None:
        """Inflate it, to `limit` bytes at most. Raises DecompressionError, InflationLimitError or RecordFormatError."""
        if consecutive and header.records != header.last_offset_delta + 1:
            raise RecordFormatError("the number of records is not that of the offsets")
        self.frame, self.header, self._consecutive = frame, header, consecutive
        content = frame[BATCH.size :]
        compressed = header.codec != NONE
        self._body = memoryview(decompress(header.codec, content, limit)) if compressed else content
        self.inflated_bytes = len(self._body) if compressed else 0
        self._at = self._index = 0
        # How often the chunk before counted its bytes, for its headers; the first chunk is a small one.
        self._weight = 4

    def finished(self) -> bool:
        """Whether every record was read."""
        return self._index >= self.header.records

    def read(self, most_records: int, most_bytes: int) -> tuple[Sequence[Any], int]:
        """The next records (aiokafka's or ours) and how many bytes they count for, with HEADER_BYTES for each header;
        at least one record.

        Raises RecordFormatError: then nothing more of this batch can be read.
        """
        small = self._index == 0 and len(self._body) <= min(SMALL_BYTES, most_bytes)
        if small and self.header.records <= most_records:
            count, end = self.header.records, len(self._body)
        else:
            count, end = self._chunk(most_records, min(most_bytes, SMALL_BYTES) // self._weight)
        large = count == 1 and _is_large(self._body, self._at, end)
        records = self._parsed_here(count, end) if large else self._parsed(count, end)
        self._check(records, end)
        counts, size = header_counts(records), end - self._at
        counted = size + HEADER_BYTES * sum(counts)
        self._at, self._index, self._weight = end, self._index + count, -(-counted // max(1, size))
        return without_many_headers(records, counts), counted

    def _chunk(self, most_records: int, most_bytes: int) -> tuple[int, int]:
        """How many records the next chunk has, and where it ends. A large record is a chunk of its own."""
        body, start, at, count = self._body, self._at, self._at, 0
        while count < min(most_records, self.header.records - self._index):
            byte = body[at] if at < len(body) else 0x80
            # Most records are shorter than 64 bytes or 8 kB; the way of one byte is worth a line.
            end = at + 1 + (byte >> 1) if byte < 0x80 and not byte & 1 else record_span(body, at)[1]
            large = end - at > _MANY_HEADERS_BYTES and _is_large(body, at, end)
            if count and (end - start > most_bytes or large):
                break
            at, count = end, count + 1
            if large:
                break
        return count, at

    def _parsed(self, count: int, end: int) -> Sequence[Any]:
        whole = self.header.codec == NONE and count == self.header.records
        chunk = self.frame if whole else self._as_batch(count, end)
        try:
            return list(DefaultRecordBatch(chunk))
        except PARSER_ERRORS:
            return self._parsed_here(count, end)

    def _as_batch(self, count: int, end: int) -> bytes:
        content = self._body[self._at : end]
        return self.header.uncompressed(len(content), count) + content

    def _parsed_here(self, count: int, end: int) -> list[ParsedRecord]:
        records, at = list[ParsedRecord](), self._at
        for _ in range(count):
            record, at = parse_record(self._body, at, self.header)
            records.append(record)
        if at != end:
            raise RecordFormatError("there are bytes after the last record")
        return records

    def _check(self, records: Sequence[Any], end: int) -> None:
        if self._index + len(records) == self.header.records and end != len(self._body):
            raise RecordFormatError("there are bytes after the last record")
        first = self.header.base_offset + self._index
        if self._consecutive and list(map(offset_of, records)) != list(range(first, first + len(records))):
            raise RecordFormatError("the offsets are not consecutive")


def _is_large(body: memoryview, at: int, end: int) -> bool:
    """Whether aiokafka's parser is not to have this record: it would make much of it before it can be cut."""
    return end - at > SMALL_BYTES or (end - at > _MANY_HEADERS_BYTES and header_count(body, at) > MAX_HEADERS)


def without_many_headers(records: Sequence[Any], counts: Sequence[int]) -> Sequence[Any]:
    """The records, with those that have more than MAX_HEADERS cut as `parse_record` cuts them."""
    if not counts or max(counts) <= MAX_HEADERS:
        return records
    return [
        ParsedRecord(
            r.offset, r.timestamp, r.key, r.value, [] if why else r.headers, why or getattr(r, "unreadable", "")
        )
        for r, why in zip(records, map(too_many_headers, counts), strict=True)
    ]
