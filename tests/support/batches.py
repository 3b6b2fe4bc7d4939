"""A partition's log, encoded batch by batch as producers and the broker do it: any codec, transactions, markers."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import cramjam
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.util import calc_crc32c, encode_varint
from aiokafka.structs import TopicPartition

from app.kafka.batch_fetching import FetchedRecord, fetched_records
from app.kafka.decompression import GZIP, ZSTD
from app.kafka.partition_batches import BatchPart, PartitionBatches
from app.kafka.record_format import BATCH, Headers

TP = TopicPartition("in", 3)
ENCODERS = (bytes, gzip_encode, snappy_encode, lz4_encode, zstd_encode)
TRANSACTIONAL, CONTROL = 0x10, 0x20
CRC_AT, CRC_FROM = 17, 21


class ProducedBatch(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: Headers = []


def record(n: int, made: ProducedBatch) -> bytes:
    """The record of this number in a batch whose records are a millisecond apart."""
    content = bytearray(1)
    encode_varint(n, content.append)
    encode_varint(n, content.append)
    for field in (made.key, made.value):
        _bytes(content, field)
    encode_varint(len(made.headers), content.append)
    for name, value in made.headers:
        _bytes(content, name.encode("utf-8", "surrogateescape"))
        _bytes(content, value)
    framed = bytearray()
    encode_varint(len(content), framed.append)
    return bytes(framed + content)


def _bytes(into: bytearray, field: bytes | None) -> None:
    encode_varint(-1 if field is None else len(field), into.append)
    into += field or b""


def batch(
    base: int, records: Sequence[ProducedBatch], codec: int = 0, attributes: int = 0, producer: int = -1
) -> bytes:
    """A batch as the broker stores it, its first record at offset `base`."""
    body = ENCODERS[codec](b"".join(record(n, one) for n, one in enumerate(records)))
    return framed(base, len(records), body, codec | attributes, producer)


def framed(base: int, count: int, body: bytes, attributes: int = 0, producer: int = -1) -> bytes:
    """A batch around a body that is encoded already."""
    length = BATCH.size - 12 + len(body)
    fields = (base, length, 0, 2, 0, attributes, count - 1, 1000 + base, 1000 + base + count - 1, producer, 0, 0, count)
    whole = bytearray(BATCH.pack(*fields) + body)
    struct.pack_into(">I", whole, CRC_AT, calc_crc32c(bytes(whole[CRC_FROM:])))
    return bytes(whole)


def members(records: Sequence[ProducedBatch]) -> bytes:
    """A batch in gzip in which each record is a member of its own, as from a client that appends streams."""
    body = b"".join(gzip_encode(record(n, one)) for n, one in enumerate(records))
    return framed(0, len(records), body, GZIP)


def inflating(base: int, megabytes: int) -> bytes:
    """A batch of some kB in zstd, with one record whose value is so many megabytes of zeros."""
    size, before, after = megabytes << 20, bytearray(3), bytes(1)
    _bytes(before, b"key")
    encode_varint(size, before.append)
    framing = bytearray()
    encode_varint(len(before) + size + len(after), framing.append)
    zstd = cramjam.zstd.Compressor()
    for piece in (bytes(framing + before), *[bytes(1 << 20)] * megabytes, after):
        zstd.compress(piece)
    return framed(base, 1, bytes(zstd.finish()), ZSTD)


def marker(base: int, producer: int, *, commit: bool) -> bytes:
    """The batch that ends a transaction."""
    ends = ProducedBatch(struct.pack(">HH", 0, int(commit)), struct.pack(">HI", 0, 0))
    return batch(base, [ends], attributes=CONTROL | TRANSACTIONAL, producer=producer)


def batches(
    data: bytes,
    position: int = 0,
    aborted: Sequence[tuple[int, int]] = (),
    consecutive: bool = True,
    refetches: int = 0,
) -> PartitionBatches:
    """The reader of a fetch of these bytes; what is damaged is said to be fetched again so many times."""
    left = iter([True] * refetches)
    return PartitionBatches(TP, data, aborted, position, fetched_records, consecutive, lambda _: next(left, False))


def take_all(reader: PartitionBatches, records: int = 1000, size: int = 1 << 20) -> list[BatchPart]:
    """Turns until there is nothing more."""
    turns = [reader.take(records, size, lambda: True)]
    while turns[-1].more:
        turns.append(reader.take(records, size, lambda: True))
    return turns


def read(data: bytes, **given: int) -> list[FetchedRecord]:
    """Every record of a fetch."""
    return [one for turn in take_all(batches(data, **given)) for one in turn.records]
