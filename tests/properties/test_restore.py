"""Restoring rows from a changelog: the row that was folded furthest stands, whatever lies over it."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from app.streams.engine.restore import rising

KEYS = (b"a", b"b", b"c")
records = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 30)), max_size=40)


def record(key: bytes, stand: int | None) -> SimpleNamespace:
    return SimpleNamespace(key=key, value=None if stand is None else b"%d" % stand)


def restored(slices: list[list[SimpleNamespace]]) -> tuple[dict[bytes, bytes], set[bytes]]:
    rows: dict[bytes, bytes] = {}
    back: set[bytes] = set()
    for piece in slices:
        for key, value in rising(piece, lambda keys: [rows.get(k) for k in keys], int, back).items():
            rows.pop(key, None)
            if value is not None:
                rows[key] = value
    return rows, back


@given(records, st.lists(st.integers(1, 8), min_size=1))
def test_p3_the_highest_row_stands_however_the_changelog_is_cut_into_slices(history, sizes):
    slices, left, turn = [], [record(*entry) for entry in history], 0
    while left:
        size = sizes[turn % len(sizes)]
        slices, left, turn = [*slices, left[:size]], left[size:], turn + 1
    highest, last = {}, {}
    for key, stand in history:
        highest[key], last[key] = max(highest.get(key, -1), stand), stand
    rows, back = restored(slices)
    assert rows == {key: b"%d" % stand for key, stand in highest.items()}
    assert back == {key for key in last if last[key] < highest[key]}


def test_a_deleted_row_is_gone_and_another_may_begin_after_it():
    assert restored([[record(b"a", 7), record(b"a", None)]]) == ({}, set())
    assert restored([[record(b"a", 7)], [record(b"a", None), record(b"a", 2)]]) == ({b"a": b"2"}, set())


def test_without_a_watermark_the_last_row_counts():
    rows = rising([record(b"a", 7), record(b"a", 2)], lambda keys: [], None, set())
    assert rows == {b"a": b"2"}
