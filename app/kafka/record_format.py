"""Kafka's record format v2, as far as aiokafka's own parser cannot be used for it.

The format: https://kafka.apache.org/documentation/#recordbatch (KIP-98). aiokafka's parser is compiled and some ten
times faster, but takes a record whole and raises UnicodeDecodeError for a header name that is not UTF-8.
"""

import struct
from typing import NamedTuple

from app.errors import HeliographError

Headers = list[tuple[str, bytes | None]]

BATCH = struct.Struct(">qiibIhiqqqhii")
# Offset and length stand before what the length counts.
LENGTH_OVERHEAD = 12
MAGIC_AT, CURRENT_MAGIC = 16, 2

_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
# Attributes of a batch that is more than its records.
UNUSUAL = _CODEC | _TRANSACTIONAL | _CONTROL

# A record longer than this is not carried whole. A topic takes 2 MB (max.message.bytes), so only compression brings it.
MAX_RECORD_BYTES = 4 << 20
# What is kept of a key or value that is not carried whole: enough to recognise the producer.
PREFIX_BYTES = 1 << 10
# An empty header takes 2 bytes in a batch, hardly any compressed, and 64 in memory; another one 150 and its content.
# So each counts with HEADER_BYTES besides its own. Producers send ten or twenty.
MAX_HEADERS, HEADER_BYTES = 1_000, 128


class RecordFormatError(HeliographError):
    """These bytes are no record."""


class BatchHeader(NamedTuple):
    """What stands before the records of a batch. `length`: of the batch after its first 12 bytes."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_ms: int
    max_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def next_offset(self) -> int:
        """The offset after the last record that the batch had when it was produced."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        """The codec of the batch by its number in the protocol; 0: not compressed."""
        return self.attributes & _CODEC

    @property
    def transactional(self) -> bool:
        """Whether the batch belongs to a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def control(self) -> bool:
        """Whether it holds no data, but the marker that ends a transaction."""
        return bool(self.attributes & _CONTROL)

    def time_of(self, delta_ms: int) -> int:
        """Timestamp of a record, ms since the epoch."""
        return self.max_ms if self.attributes & _APPEND_TIME else self.first_ms + delta_ms

    def uncompressed(self, body_bytes: int, count: int) -> bytes:
        """The header of a batch with `count` of the records, not compressed; its checksum is not set."""
        attributes, length = self.attributes & ~_CODEC, BATCH.size - LENGTH_OVERHEAD + body_bytes
        return BATCH.pack(*self._replace(attributes=attributes, length=length, records=count))


class ParsedRecord(NamedTuple):
    """A record, with the attributes of aiokafka's. `unreadable`: why key and value are not what was produced."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    unreadable: str = ""


def batch_header(data: memoryview, at: int) -> BatchHeader:
    """The header of the v2 batch that begins there. Raises struct.error where the data are too short."""
    return BatchHeader._make(BATCH.unpack_from(data, at))


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """A zigzag varint and where it ends. Raises RecordFormatError."""
    value = shift = 0
    for place in range(at, min(len(data), at + 10)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), place + 1
        shift += 7
    raise RecordFormatError("a number is cut off")


def record_span(data: memoryview, at: int) -> tuple[int, int]:
    """Where the content of the record at `at` begins, and where it ends. Raises RecordFormatError."""
    length, start = read_varint(data, at)
    if length < 0 or start + length > len(data):
        raise RecordFormatError("a record is cut off")
    return start, start + length


def parse_record(data: memoryview, at: int, header: BatchHeader) -> tuple[ParsedRecord, int]:
    """The record at `at` and where it ends; one that is too large or has too many headers says so and is cut.

    Raises RecordFormatError.
    """
    start, end = record_span(data, at)
    fields = data[:end]
    delta_ms, place = read_varint(fields, start + 1)
    delta, place = read_varint(fields, place)
    key, place = _bytes(fields, place)
    value, place = _bytes(fields, place)
    count, place = read_varint(fields, place)
    placed = header.base_offset + delta, header.time_of(delta_ms)
    if end - start > MAX_RECORD_BYTES:
        why = f"the record has {end - start} bytes, more than {MAX_RECORD_BYTES}"
        return ParsedRecord(*placed, _prefix(key), _prefix(value), [], why), end
    if count > MAX_HEADERS:
        return ParsedRecord(*placed, _copy(key), _copy(value), [], too_many_headers(count)), end
    headers = _headers(fields, place, count)
    return ParsedRecord(*placed, _copy(key), _copy(value), headers), end


def header_count(data: memoryview, at: int) -> int:
    """How many headers the record at `at` says it has. Raises RecordFormatError."""
    start, end = record_span(data, at)
    fields = data[:end]
    _, place = read_varint(fields, start + 1)
    _, place = read_varint(fields, place)
    _, place = _bytes(fields, place)
    _, place = _bytes(fields, place)
    return read_varint(fields, place)[0]


def too_many_headers(count: int) -> str:
    """Why a record of so many headers is not carried with them, "" if it is."""
    return f"the record has {count} headers, more than {MAX_HEADERS}" if count > MAX_HEADERS else ""


def _headers(data: memoryview, at: int, count: int) -> Headers:
    """Names that are not UTF-8 keep their bytes as surrogate escapes (PEP 383)."""
    headers: Headers = []
    if count < 0:
        raise RecordFormatError("the number of headers is negative")
    for _ in range(count):
        name, at = _bytes(data, at)
        value, at = _bytes(data, at)
        if name is None:
            raise RecordFormatError("a header has no name")
        headers.append((bytes(name).decode("utf-8", "surrogateescape"), _copy(value)))
    if at != len(data):
        raise RecordFormatError("a record has bytes after its headers")
    return headers


def _bytes(data: memoryview, at: int) -> tuple[memoryview | None, int]:
    length, start = read_varint(data, at)
    if length < 0:
        return None, start
    if start + length > len(data):
        raise RecordFormatError("a field is cut off")
    return data[start : start + length], start + length


def _copy(field: memoryview | None) -> bytes | None:
    return None if field is None else bytes(field)


def _prefix(field: memoryview | None) -> bytes | None:
    return None if field is None else bytes(field[:PREFIX_BYTES])
