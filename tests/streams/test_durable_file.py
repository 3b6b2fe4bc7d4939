"""Files that a power cut must leave whole: in which order they reach the disk."""

import os
from pathlib import Path

import pytest

from app.durable import framed_file
from app.durable.atomic_file import write_durably
from app.durable.journal import Journal
from app.streams.engine.datadir import DataDir


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to files and directories, in order. A content that is replaced before it is on disk may come back
    empty; a name that is not on disk with its directory may be the old one."""
    done: list[str] = []
    fsync, rename = os.fsync, os.replace

    def sync(fd: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        done.append(f"fsync {'directory' if path.is_dir() else path.name}")
        fsync(fd)

    def replaced(self: Path, target: Path) -> Path:
        done.append(f"rename {self.name} {Path(target).name}")
        rename(self, target)
        return Path(target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(Path, "rename", replaced)
    return done


def in_order(name: str) -> list[str]:
    return [f"fsync {name}.new", f"rename {name}.new {name}", "fsync directory"]


def test_a_small_file_is_on_disk_before_its_name_and_its_name_before_anybody_relies_on_it(
    tmp_path: Path, steps: list[str]
) -> None:
    write_durably(tmp_path / "member", b"m1")
    assert steps == in_order("member") and (tmp_path / "member").read_bytes() == b"m1"


def test_the_member_of_a_new_data_directory_survives_a_power_cut(tmp_path: Path, steps: list[str]) -> None:
    data = DataDir(tmp_path)
    assert steps == in_order("member") and (tmp_path / "member").read_text() == data.member


async def test_the_answers_that_a_start_finds_survive_a_power_cut_during_it(tmp_path: Path, steps: list[str]) -> None:
    journal = Journal(tmp_path / "answers.journal")
    await journal.keep("a", b"accepted")
    journal.close()
    steps.clear()
    again = Journal(tmp_path / "answers.journal")
    assert steps == in_order("answers.journal") and list(again.pending()) == [("a", b"accepted")]
    again.close()


def test_a_start_that_ends_before_the_new_journal_is_whole_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "answers.journal"
    path.write_bytes(framed_file.frame(b"\x93\xa1a\xc4\x01x\xc2"))

    def full(fd: int) -> None:
        raise OSError(28, "the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        Journal(path)
    monkeypatch.undo()
    kept = Journal(path)
    assert list(kept.pending()) == [("a", b"x")]
    kept.close()
