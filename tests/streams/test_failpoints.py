"""Named points: inert without the variable, and with it the process ends where it was told to."""

import os
import signal
import subprocess
import sys

import pytest

from app.streams.engine.failpoints import Failpoint

CODE = "from app.streams.engine import failpoints\nfor n in range(5):\n    print(n, flush=True)\n    failpoints.reach('after_rows')"


def lives(die_at: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **({"HELIOGRAPH_DIE_AT": die_at} if die_at else {})}
    return subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, timeout=60)


def test_without_the_variable_a_point_does_nothing():
    done = lives("")
    assert (done.returncode, done.stdout.split()) == (0, ["0", "1", "2", "3", "4"])


def test_a_process_is_killed_the_named_time_it_reaches_its_point():
    done = lives("after_rows:3")
    assert done.returncode == -signal.SIGKILL
    assert [line for line in done.stdout.split() if line.isdigit()] == ["0", "1", "2"]


def test_another_point_does_nothing():
    assert lives("after_claim:1").returncode == 0


@pytest.mark.parametrize("text", ["nowhere:1", "after_rows", "after_rows:x", "after_rows:1:STOP:2"])
def test_what_names_no_point_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        Failpoint(text)
