"""The data directory of a worker: what of it is still good after a while."""

from pathlib import Path

import pytest

from app import clock
from app.streams.engine.datadir import DataDir

GOOD_FOR_MS = 60_000


def left(path: Path, age_ms: int) -> Path:
    """As a worker left it so long ago: a row, the member's name, a journal."""
    (path / "tables").mkdir()
    (path / "tables" / "row").write_text("row")
    (path / "member").write_text("m1")
    (path / "answers.journal").write_text("answer")
    (path / "used").write_text(str(clock.now_ms() - age_ms))
    return path


@pytest.mark.parametrize(("age_ms", "wiped"), [(GOOD_FOR_MS // 2, False), (GOOD_FOR_MS + 1000, True)])
def test_tables_unused_for_longer_than_tombstones_are_kept_are_wiped_and_nothing_else(
    tmp_path: Path, age_ms: int, wiped: bool
):
    data = DataDir(left(tmp_path, age_ms), GOOD_FOR_MS)
    assert (data.wiped, (tmp_path / "tables" / "row").exists()) == (wiped, not wiped)
    assert (data.member, (tmp_path / "answers.journal").read_text()) == ("m1", "answer")


def test_from_its_start_on_it_counts_as_used(tmp_path: Path):
    before = clock.now_ms()
    DataDir(left(tmp_path, GOOD_FOR_MS // 2), GOOD_FOR_MS)
    assert int((tmp_path / "used").read_text()) >= before


def test_one_whose_member_was_not_written_to_its_end_gets_another(tmp_path: Path):
    (left(tmp_path, 0) / "member").write_text("")
    assert DataDir(tmp_path, GOOD_FOR_MS).member == (tmp_path / "member").read_text() != ""


def test_a_new_one_gets_a_member_of_its_own_that_stays(tmp_path: Path):
    made = [DataDir(tmp_path / name, GOOD_FOR_MS) for name in ("a", "b")]
    assert made[0].member != made[1].member
    assert [(tmp_path / name / "member").read_text() for name in ("a", "b")] == [data.member for data in made]
