"""The data directory of a worker: its member of the group, for life."""

from pathlib import Path

import pytest

from app.streams.engine.datadir import DataDir


@pytest.mark.parametrize("damaged", [b"", b"0f" * 15, b"\xff\xfe" * 16, b"\0" * 32, b"0f" * 16 + b"\n"])
def test_one_whose_member_is_damaged_gets_another(tmp_path: Path, damaged: bytes):
    (tmp_path / "member").write_bytes(damaged)
    member = DataDir(tmp_path).member
    assert (len(bytes.fromhex(member)), (tmp_path / "member").read_text()) == (16, member)


def test_a_new_one_gets_a_member_of_its_own_that_stays(tmp_path: Path):
    made = [DataDir(tmp_path / name) for name in ("a", "b")]
    assert made[0].member != made[1].member
    assert [(tmp_path / name / "member").read_text() for name in ("a", "b")] == [data.member for data in made]


def test_one_that_reads_other_topics_is_another_member(tmp_path: Path):
    """Kafka would give a static member that comes back its former partitions, and none of a new topic (KIP-345)."""
    data = DataDir(tmp_path)
    assert data.member_reading(["a", "b"]) == data.member_reading(["b", "a"]) != data.member_reading(["a", "b", "c"])
    assert data.member_reading(["a"]).startswith(data.member)
