"""Restoring rows from a changelog: the row that was folded furthest stands, whatever lies over it."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from app.records.topics import Topics
from app.streams.agents.metrics import MetricsAgent
from app.streams.engine.restore import Restore, Restores
from app.streams.replay.replay import contact_fold

KEYS = (b"a", b"b", b"c")
records = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 30)), max_size=40)


def record(key: bytes, stand: int | None) -> SimpleNamespace:
    return SimpleNamespace(key=key, value=None if stand is None else b"%d" % stand)


def restored(
    slices: list[list[SimpleNamespace]], rows: dict[bytes, bytes] | None = None, most: int = 100
) -> tuple[dict[bytes, bytes], Restore]:
    """The rows of a store that held `rows` before, and what the restore says of them."""
    rows, restores, place = dict(rows or {}), Restores(most), ("changelog", 0)
    restore = Restore(lambda keys: [rows.get(key) for key in keys], int, empty=not rows)
    for piece in slices:
        for key, value in restores.begin(place, lambda: restore).rows(piece).items():
            rows.pop(key, None)
            if value is not None:
                rows[key] = value
        restores.bound()
    assert restores.of(place) is (restore if slices else None)
    return rows, restore


def cut(history: list[tuple[bytes, int]], sizes: list[int]) -> list[list[SimpleNamespace]]:
    slices, left, turn = [], [record(*entry) for entry in history], 0
    while left:
        size = sizes[turn % len(sizes)]
        slices, left, turn = [*slices, left[:size]], left[size:], turn + 1
    return slices


@given(
    records,
    st.lists(st.integers(1, 8), min_size=1),
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 30)),
    st.integers(0, 4),
)
def test_p3_the_highest_row_stands_however_the_changelog_is_cut_and_whatever_is_remembered(
    history, sizes, before, most
):
    highest, last = dict(before), {}
    for key, stand in history:
        highest[key], last[key] = max(highest.get(key, -1), stand), stand
    rows, restore = restored(cut(history, sizes), {key: b"%d" % stand for key, stand in before.items()}, most)
    assert rows == {key: b"%d" % stand for key, stand in highest.items()}
    assert restore.back == {key for key in last if last[key] < highest[key]}
    assert restore.highest() == (None if before else max(highest.values(), default=-1))
    assert restore.remembered() <= most


def test_a_new_store_is_not_asked_for_what_is_remembered():
    def never(keys: list[bytes]) -> list[bytes | None]:
        raise AssertionError(keys)

    restore = Restore(never, int, empty=True)
    assert restore.rows([record(b"a", 1), record(b"b", 2)]) and restore.rows([record(b"a", 0)]) == {}
    assert restore.back == {b"a"}


def test_a_deleted_row_is_gone_and_another_may_begin_after_it():
    assert restored([[record(b"a", 7), record(b"a", None)]])[0] == {}
    assert restored([[record(b"a", 7)], [record(b"a", None), record(b"a", 2)]])[0] == {b"a": b"2"}


def test_without_a_watermark_the_last_row_counts():
    restore = Restore(lambda keys: [], None, empty=False)
    assert restore.rows([record(b"a", 7), record(b"a", 2)]) == {b"a": b"2"}
    assert restore.highest() is None


def test_what_others_wrote_to_a_changelog_is_no_row_and_hides_none():
    """A record without a key, and a value whose watermark cannot be read (-1), over a row of ours."""
    history = [record(b"a", 5), SimpleNamespace(key=None, value=b"x"), record(b"a", -1)]
    rows, restore = restored([history])
    assert rows == {b"a": b"5"} and restore.back == {b"a"}
    unordered = Restore(lambda keys: [], None, empty=True)
    assert unordered.rows(history[1:2]) == {}


def test_the_watermark_of_what_is_no_row_of_ours_is_minus_one():
    watermarks = [spec.watermark for spec in (*MetricsAgent.tables, *contact_fold(Topics("", ""), "").tables)]
    assert [read(row) for read in watermarks for row in (b"{broken", b"\xff", b"[]")] == [-1] * 9
