"""What development processes write is for their owner alone."""

import os
import stat
from pathlib import Path

import pytest

from app.dev.private_files import append_to
from app.dev.process import ChildProcess


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("there", [False, True])
def test_a_log_is_its_owners_alone_whatever_the_umask_and_whatever_it_was(tmp_path: Path, there: bool) -> None:
    log, before = tmp_path / "a.log", os.umask(0)
    try:
        if there:
            log.write_bytes(b"one ")
            log.chmod(0o644)
        with append_to(log) as file:
            file.write(b"two")
    finally:
        os.umask(before)
    assert (mode(log), log.read_bytes()) == (0o600, b"one two" if there else b"two")


def test_the_log_of_a_part_and_what_the_part_writes_are_its_owners_alone(tmp_path: Path) -> None:
    program = ("-c", f"open({str(tmp_path / 'made')!r}, 'w'); print('{{}}')")
    part = ChildProcess("part", [], {"PATH": "/usr/bin:/bin"}, tmp_path / "logs" / "part.log", program)
    part.start()
    assert part.process is not None and part.process.wait(10) == 0
    assert mode(tmp_path / "logs" / "part.log") == 0o600 and mode(tmp_path / "made") == 0o600
