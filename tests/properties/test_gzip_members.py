"""Streams of many gzip members: read like one, at a cost that follows their length, or refused."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kafka import decompression
from app.kafka.decompression import GZIP, MAX_GZIP_MEMBERS, DecompressionError, decompress

LIMIT, STEP, PIECE = 4 << 20, decompression._GZIP_STEP, decompression._GZIP_PIECE
EMPTY = gzip.compress(b"", mtime=0)
contents = st.binary(max_size=50) | st.sampled_from([0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP]).map(bytes)


class Counted:
    """zlib's decompressor. Counts calls and the bytes that it is given, of which it copies what it leaves."""

    calls = given = made = 0

    def __init__(self, wbits: int) -> None:
        self._inner = _made(wbits)
        Counted.made += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def decompress(self, data: memoryview, most: int) -> bytes:
        Counted.calls, Counted.given = Counted.calls + 1, Counted.given + len(data)
        return self._inner.decompress(data, most)  # type: ignore[no-any-return]


_made = zlib.decompressobj


@contextmanager
def counted() -> Iterator[type[Counted]]:
    Counted.calls = Counted.given = Counted.made = 0
    with patch.object(decompression.zlib, "decompressobj", Counted):
        yield Counted


@settings(deadline=None)
@given(st.lists(contents, min_size=1, max_size=12), st.integers(0, 9), st.sampled_from([b"", b"\0" * 8, b"x"]))
def test_members_are_read_one_after_the_other_and_what_follows_them_is_not(parts, level, after) -> None:
    data = b"".join(gzip.compress(part, level, mtime=0) for part in parts) + after
    with counted() as cost:
        assert decompress(GZIP, memoryview(data), LIMIT * 2) == b"".join(parts)
    steps = sum(map(len, parts)) // STEP + len(data) // PIECE + 3 * len(parts)
    assert cost.made == len(parts) and cost.calls <= steps and cost.given <= PIECE * steps


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 2 * MAX_GZIP_MEMBERS) | st.sampled_from([MAX_GZIP_MEMBERS, MAX_GZIP_MEMBERS + 1, 100_000]))
def test_a_stream_of_very_many_members_is_refused_before_it_costs_much(count) -> None:
    with counted() as cost:
        if count <= MAX_GZIP_MEMBERS:
            assert decompress(GZIP, memoryview(EMPTY * count), LIMIT) == b""
        else:
            with pytest.raises(DecompressionError, match=f"more than {MAX_GZIP_MEMBERS} members"):
                decompress(GZIP, memoryview(EMPTY * count), LIMIT)
    assert cost.made <= MAX_GZIP_MEMBERS and cost.given <= PIECE * cost.calls and cost.calls <= 2 * MAX_GZIP_MEMBERS


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.data())
def test_a_stream_that_is_cut_off_in_a_member_is_refused(parts, data) -> None:
    whole = b"".join(gzip.compress(part, mtime=0) for part in parts)
    last = len(gzip.compress(parts[-1], mtime=0))
    cut = data.draw(st.integers(1, last - 2))  # of the next member two bytes must be there, to be one
    with pytest.raises(DecompressionError):
        decompress(GZIP, memoryview(whole[:-cut]), LIMIT)
