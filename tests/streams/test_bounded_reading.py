"""What is not read whole: bounded inflation, large records, damaged batches. Each becomes a record that says so."""

import subprocess
import sys
from pathlib import Path

import cramjam
import pytest
from aiokafka.codec import gzip_encode, snappy_encode
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from app.kafka.decompression import GZIP, LZ4, SNAPPY, ZSTD, DecompressionError, InflationLimitError, decompress
from app.kafka.partition_batches import FREE_BYTES, KEPT_BYTES
from app.kafka.record_batches import MAX_INFLATED_BYTES
from app.kafka.record_format import MAX_HEADERS, MAX_RECORD_BYTES
from tests.support.batches import CRC_AT, ENCODERS, ProducedBatch, batch, batches, framed, read, take_all

ROOT = Path(__file__).parents[2]
CODECS = {"gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
by_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
MEGABYTE = 1 << 20


def zeros(codec: int, size: int) -> bytes:
    return bytes(ENCODERS[codec](bytes(size)))


@by_codec
@pytest.mark.parametrize("size", [0, 1, MEGABYTE - 1, MEGABYTE])
def test_up_to_the_limit_everything_is_inflated(codec: int, size: int) -> None:
    assert decompress(codec, memoryview(zeros(codec, size)), MEGABYTE) == bytes(size)


@by_codec
@pytest.mark.parametrize("size", [MEGABYTE + 1, 10 * MEGABYTE])
def test_beyond_the_limit_nothing_is(codec: int, size: int) -> None:
    with pytest.raises(InflationLimitError):
        decompress(codec, memoryview(zeros(codec, size)), MEGABYTE)


@by_codec
def test_damaged_data_say_so(codec: int) -> None:
    whole = zeros(codec, 100_000)
    for data in (b"garbage" * 9, whole[: len(whole) // 2], b""):
        with pytest.raises(DecompressionError):
            decompress(codec, memoryview(data), MEGABYTE)


def test_an_unknown_codec_says_so() -> None:
    with pytest.raises(DecompressionError):
        decompress(7, memoryview(b"x"), MEGABYTE)


def test_raw_snappy_and_several_gzip_members_with_something_behind_them_are_read() -> None:
    assert decompress(SNAPPY, memoryview(bytes(cramjam.snappy.compress_raw(b"abc"))), MEGABYTE) == b"abc"
    assert decompress(SNAPPY, memoryview(snappy_encode(b"abc" * 50_000)), MEGABYTE) == b"abc" * 50_000
    assert decompress(GZIP, memoryview(gzip_encode(b"ab") + gzip_encode(b"cd") + b"\0" * 8), MEGABYTE) == b"abcd"


@by_codec
def test_what_inflates_to_100_mb_costs_no_100_mb(codec: int) -> None:
    program = (
        "import resource, sys\n"
        "from tests.support.batches import framed, read\n"
        "body = sys.stdin.buffer.read()\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "(one,) = read(framed(0, 9, body, int(sys.argv[1])))\n"
        "print(peak() - before, one.unreadable)"
    )
    command = [sys.executable, "-c", program, str(codec)]
    done = subprocess.run(command, input=bomb(codec), capture_output=True, cwd=ROOT, check=True)
    grown_kb, rule = done.stdout.decode().split(" ", 1)
    assert int(grown_kb) < 70 << 10
    assert "9 records, from offset 0 on, inflates to more than" in rule


def bomb(codec: int) -> bytes:
    """100 MB of zeros."""
    if codec == SNAPPY:
        return bytes(cramjam.snappy.compress_raw(bytes(100 * MEGABYTE)))
    return zeros(codec, 10 * MEGABYTE) * 10


@by_codec
def test_a_batch_over_the_limit_is_one_record_for_its_range_and_the_log_goes_on(codec: int) -> None:
    data = (
        batch(0, [ProducedBatch(b"a", b"1")])
        + framed(1, 1000, bomb(codec), codec)
        + batch(1001, [ProducedBatch(b"b", b"2")])
    )
    (first, middle, last), ends = read(data), [turn.end for turn in take_all(batches(data))]
    assert (first.value, last.value, last.offset, ends[-1]) == (b"1", b"2", 1001, 1002)
    assert (middle.offset, middle.key, middle.headers) == (1, None, [])
    assert "1000 records, from offset 1 on, inflates to more than" in middle.unreadable
    assert len(bomb(codec)) > KEPT_BYTES or middle.value in data
    assert batches(data, 400).take(9, 9, lambda: True).records[0].unreadable.startswith("a batch of")


def test_several_bombs_in_one_fetch_are_inflated_in_several_turns() -> None:
    frames = [framed(n, 1, bomb(ZSTD), ZSTD) for n in range(3)]
    work = MAX_INFLATED_BYTES + len(frames[0])
    assert [(turn.end, turn.work) for turn in take_all(batches(b"".join(frames)))] == [(n, work) for n in (1, 2, 3)]


@pytest.mark.parametrize("codec", [GZIP, ZSTD])
def test_batches_that_inflate_far_before_their_fault_are_inflated_in_several_turns(codec: int) -> None:
    body = zeros(codec, 20 * MEGABYTE)
    data = b"".join(framed(n, 1, body + zeros(codec, 9)[:-2], codec) for n in range(3))
    assert [turn.end for turn in take_all(batches(data))] == [1, 2, 3]


@by_codec
def test_while_others_hold_too_much_a_small_batch_is_inflated_a_large_one_waits_and_nothing_is_lost(codec: int) -> None:
    small, large = (
        batch(0, [ProducedBatch(b"a", b"1")], codec),
        batch(1, [ProducedBatch(b"b", bytes(FREE_BYTES))] * 2, codec),
    )
    reader = batches(small + large)
    held = reader.take(9, MEGABYTE, lambda: False)
    assert ([r.value for r in held.records], held.end, held.more) == ([b"1"], 1, True)
    again = reader.take(9, MEGABYTE, lambda: False)
    assert (again.records, again.more, again.work) == ([], True, 0), "it is not inflated in vain twice"
    assert [r.offset for r in reader.take(9, 3 * MEGABYTE, lambda: True).records] == [1, 2]


def test_an_inflated_batch_is_held_only_while_it_is_read() -> None:
    reader = batches(batch(0, [ProducedBatch(b"k", bytes(1000))] * 100, ZSTD))
    reader.take(10, MEGABYTE, lambda: True)
    assert reader.inflated_bytes > 100_000
    assert take_all(reader)[-1].end == 100 and reader.inflated_bytes == 0


@by_codec
def test_a_record_that_is_too_large_is_cut_and_those_around_it_are_read(codec: int) -> None:
    large = ProducedBatch(b"k" * 5000, b"v" * MAX_RECORD_BYTES, [("trace", b"1")])
    first, cut, last = read(batch(0, [ProducedBatch(b"a", b"1"), large, ProducedBatch(b"b", b"2")], codec))
    assert (first.value, last.value, first.unreadable, last.unreadable) == (b"1", b"2", "", "")
    assert (cut.offset, cut.key, cut.value, cut.headers) == (1, b"k" * 1024, b"v" * 1024, [])
    assert f"more than {MAX_RECORD_BYTES}" in cut.unreadable


def test_a_large_record_below_the_limit_is_whole() -> None:
    (whole,) = read(batch(0, [ProducedBatch(b"k", b"v" * (MAX_RECORD_BYTES - 100), [("a", None)])], ZSTD))
    assert (len(whole.value), whole.headers, whole.unreadable) == (MAX_RECORD_BYTES - 100, [("a", None)], "")


def test_a_record_of_very_many_headers_is_cut() -> None:
    many = ProducedBatch(b"k", b"v" * 5000, [("", None)] * (4 * MAX_HEADERS))
    first, cut = read(batch(0, [ProducedBatch(b"a", b"1", [("\udcff", None)]), many], ZSTD))
    assert (first.headers, cut.headers, cut.value) == ([("\udcff", None)], [], b"v" * 5000)
    assert f"more than {MAX_HEADERS}" in cut.unreadable


def test_a_damaged_batch_is_fetched_again_and_then_set_aside_with_its_range() -> None:
    damaged = bytearray(batch(5, [ProducedBatch(b"a", b"1")] * 3))
    damaged[-1] ^= 0xFF
    data = bytes(damaged) + batch(8, [ProducedBatch(b"b", b"2")])
    reader = batches(data, 5, refetches=1)
    again = reader.take(9, 999, lambda: True)
    assert (again.refetch, again.records, again.end, again.more) == (True, [], 5, False)
    lost, after = reader.take(9, 999, lambda: True).records
    assert (lost.offset, lost.value, after.offset) == (5, bytes(damaged), 8)
    assert "3 records, from offset 5 on, has a wrong checksum" in lost.unreadable


@pytest.mark.parametrize(("place", "end"), [(16, 3), (CRC_AT + 6, 2)], ids=["format", "last offset"])
def test_a_damaged_batch_whose_header_does_not_say_its_range_is_set_aside_offset_by_offset(
    place: int, end: int
) -> None:
    damaged = bytearray(batch(0, [ProducedBatch(b"a", b"1")] * 3))
    damaged[place] ^= 0x80
    turns = take_all(batches(bytes(damaged), 1))
    assert [(turn.first, turn.end, len(turn.records)) for turn in turns] == [(1, end, 1)]


@pytest.mark.parametrize(
    ("body", "codec", "rule"),
    [
        (b"\x0e\0\0", 0, "a record is cut off"),
        (b"\xff" * 20, 0, "a number is cut off"),
        (b"\x0c\0\0\0\x01\x01\x03", 0, "the number of headers is negative"),
        (b"\x0c\0\0\0\x01\x01\0" * 2, 0, "bytes after the last record"),
        (b"\x0c\0\0\x08\x01\x01\0", 0, "offsets are not consecutive"),
        (b"not zstd", ZSTD, "the zstd data are damaged"),
        (b"", 6, "codec 6 is unknown"),
    ],
)
def test_what_has_the_right_checksum_and_cannot_be_parsed_is_set_aside_at_once(body, codec, rule) -> None:
    data = framed(0, 1, body, codec) + batch(1, [ProducedBatch(b"b", b"2")])
    lost, after = read(data)
    assert rule in lost.unreadable and lost.value in data and after.value == b"2"


def test_legacy_formats_are_read() -> None:
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 16)
    for n in range(3):
        builder.append(n, 1000 + n, b"k%d" % n, b"v")
    old = bytes(builder.build())
    assert [(r.offset, r.timestamp, r.key) for r in read(old, position=1)] == [(1, 1001, b"k1"), (2, 1002, b"k2")]
    damaged = old[:-1] + b"x"
    assert [r.unreadable != "" for r in read(damaged)] == [False, False, True]
