"""Bounded decompression of record batches: every codec of Kafka, no more than a limit of bytes.

aiokafka inflates a batch whole, however large: 2 MB of zstd may become gigabytes. Here the output goes into a buffer
that never grows past the limit, so the memory that a batch costs does not depend on who produced it.
"""

import zlib
from collections.abc import Callable
from typing import Any

import cramjam

from app.errors import HeliographError

# Numbers of the codecs in a batch's attributes (Kafka protocol, "Record Batch").
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
NAMES = {NONE: "none", GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}

_GZIP_WBITS = 31  # a gzip header and trailer around the deflate stream
_GZIP_MAGIC = b"\x1f\x8b"
# zlib copies what it leaves of its input, so it is given little at a time; a stream of members that hold nothing would
# else cost the square of its length. A gzip writer makes one member; clients that append streams make a few.
_GZIP_PIECE, _GZIP_STEP, MAX_GZIP_MEMBERS = 1 << 14, 1 << 18, 1000
# Most batches inflate less than fourfold: their first buffer is large enough.
_FIRST_RATIO, _FIRST_BYTES, _NEXT_RATIO = 4, 1 << 16, 4
# snappy-java ("xerial") puts this, two version numbers and then blocks with their lengths around raw snappy.
_XERIAL_MAGIC, _XERIAL_HEADER = b"\x82SNAPPY\x00", 16
_TOO_SMALL = "failed to write whole buffer"  # cramjam, of an output buffer


class DecompressionError(HeliographError):
    """These bytes are not what the codec makes, or the codec is none of Kafka's."""


class InflationLimitError(HeliographError):
    """The data inflates to more than the limit."""


def decompress(codec: int, data: memoryview, limit: int) -> bytes | bytearray | memoryview:
    """The inflated bytes, at most `limit` of them. Raises DecompressionError or InflationLimitError."""
    inflate = _CODECS.get(codec)
    if inflate is None:
        raise DecompressionError(f"codec {codec} is unknown")
    try:
        return inflate(data, limit)
    except (zlib.error, cramjam.DecompressionError, ValueError) as error:
        raise DecompressionError(f"the {NAMES[codec]} data are damaged") from error


def _gzip(data: memoryview, limit: int) -> bytearray:
    """All members of the stream; like Java's GZIPInputStream what follows the last one is ignored."""
    inflated, at = bytearray(), 0
    for _ in range(MAX_GZIP_MEMBERS):
        at = _gzip_member(data, at, inflated, limit)
        if data[at : at + len(_GZIP_MAGIC)] != _GZIP_MAGIC:
            return inflated
    raise DecompressionError(f"the gzip data have more than {MAX_GZIP_MEMBERS} members")


def _gzip_member(data: memoryview, at: int, inflated: bytearray, limit: int) -> int:
    """Inflate the member at `at`, and say where it ends. Raises DecompressionError or InflationLimitError."""
    member = zlib.decompressobj(_GZIP_WBITS)
    while not member.eof:
        if not (piece := data[at : at + _GZIP_PIECE]):
            raise DecompressionError("the gzip data are cut off")
        inflated += member.decompress(piece, min(_GZIP_STEP, limit + 1 - len(inflated)))
        if len(inflated) > limit:
            raise InflationLimitError
        at += len(piece) - len(member.unused_data if member.eof else member.unconsumed_tail)
    return at


def _snappy(data: memoryview, limit: int) -> bytearray | memoryview:
    """Raw snappy, or blocks of it as snappy-java writes them. Both say how long the output is."""
    if data[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return _snappy_block(data, limit)
    inflated, at = bytearray(), _XERIAL_HEADER
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big", signed=True)
        block = data[at + 4 : at + 4 + size]
        if size < 1 or len(block) < size:
            raise DecompressionError("a snappy block is cut off")
        inflated += _snappy_block(block, limit - len(inflated))
        at += 4 + size
    return inflated


def _snappy_block(block: memoryview, limit: int) -> memoryview:
    size = cramjam.snappy.decompress_raw_len(block)
    if size > limit:
        raise InflationLimitError
    buffer = bytearray(size)
    return memoryview(buffer)[: cramjam.snappy.decompress_raw_into(block, buffer)]


def _into_buffer(inflate_into: Callable[[Any, bytearray], int]) -> Callable[[memoryview, int], memoryview]:
    """For codecs whose output says nowhere how long it is: larger buffers are tried, up to the limit."""

    def inflate(data: memoryview, limit: int) -> memoryview:
        size = min(limit, max(_FIRST_BYTES, _FIRST_RATIO * len(data)))
        while True:
            buffer = bytearray(size)
            try:
                return memoryview(buffer)[: inflate_into(data, buffer)]
            except cramjam.DecompressionError as error:
                if _TOO_SMALL not in str(error):
                    raise
            if size == limit:
                raise InflationLimitError
            size = min(limit, _NEXT_RATIO * size)

    return inflate


_CODECS: dict[int, Callable[[memoryview, int], bytes | bytearray | memoryview]] = {
    GZIP: _gzip,
    SNAPPY: _snappy,
    LZ4: _into_buffer(cramjam.lz4.decompress_into),
    ZSTD: _into_buffer(cramjam.zstd.decompress_into),
}
