"""Which ends of a process are held against the records that it had in hand."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.streams.engine.crash_marker import CrashMarker, Death, DeathCause, Work, WorkStage

WORK = Work("notify.requests", 5, 41, 57, 1_790_000_000_000)
BEGIN = """
import ctypes, os, signal, sys, threading
from pathlib import Path
from app.streams.engine.crash_marker import CrashMarker, DeathCause, Work, WorkStage
marker = CrashMarker(Path(sys.argv[1]))
marker.watch()
marker.folding.enter(WorkStage.FOLD, Work("notify.requests", 5, 41, 57, 1_790_000_000_000))
"""


def died(directory: Path, end: str, begin: str = BEGIN) -> list[Death]:
    """What the next process finds after one that ended so."""
    run(directory, begin + end)
    return CrashMarker(directory).deaths


def run(directory: Path, program: str) -> None:
    subprocess.run([sys.executable, "-c", program, str(directory)], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        ("ctypes.string_at(0)", DeathCause.SIGNAL),
        ("os.abort()", DeathCause.SIGNAL),
        ("os._exit(1)", DeathCause.EXIT),
        (
            "marker.blame_thread(threading.get_ident(), DeathCause.BLOCKED); os.kill(os.getpid(), signal.SIGKILL)",
            DeathCause.BLOCKED,
        ),
    ],
)
def test_a_crash_an_exit_and_a_blocked_loop_are_held_against_the_records_in_hand(tmp_path, end, cause):
    assert died(tmp_path, end) == [Death(WORK, WorkStage.FOLD, cause)]
    assert CrashMarker(tmp_path).deaths == [], "each death counts once"


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os._exit(78)",
        "marker.folding.leave(); ctypes.string_at(0)",
        "marker.folding.leave(); os._exit(70)",
        "one = threading.Thread(target=lambda: os._exit(70)); one.start(); one.join()",
        "one = threading.Thread(target=lambda: ctypes.string_at(0)); one.start(); one.join()",
    ],
    ids=["kill", "term", "configuration", "crash at rest", "exit at rest", "exit elsewhere", "crash elsewhere"],
)
def test_what_others_did_and_what_happened_elsewhere_is_held_against_no_record(tmp_path, end):
    assert died(tmp_path, end) == []


def test_a_crash_in_the_reading_of_a_batch_names_the_batch(tmp_path):
    begin = BEGIN.replace("marker.folding.enter(WorkStage.FOLD", "marker.reading.enter(WorkStage.READ")
    assert died(tmp_path, "ctypes.string_at(0)", begin) == [Death(WORK, WorkStage.READ, DeathCause.SIGNAL)]


def test_a_crash_says_where_it_was(tmp_path):
    run(tmp_path, BEGIN + "def deadly(): ctypes.string_at(0)\ndeadly()")
    inner, outer = CrashMarker(tmp_path).trace[:2]
    assert inner.startswith("__init__.py:") and inner.endswith(":string_at")
    assert outer.startswith("<string>:") and outer.endswith(":deadly")


def test_a_crash_after_one_that_counted_names_its_own_records(tmp_path):
    assert died(tmp_path, "os.abort()") == [Death(WORK, WorkStage.FOLD, DeathCause.SIGNAL)]
    assert died(tmp_path, f"os.kill(os.getpid(), {signal.SIGKILL.value})") == []


@pytest.mark.parametrize("at", [0, 1, 30])
def test_a_marker_that_makes_no_sense_is_held_against_no_record_and_keeps_no_process_from_its_start(tmp_path, at):
    """Stage, cause and topic of another build, or of a broken disk."""
    made = CrashMarker(tmp_path)
    made.folding.enter(WorkStage.FOLD, WORK)
    made.folding.blame(DeathCause.EXIT)
    memory = made.folding._memory
    memory[512 + at : 512 + at + 8] = b"\xff" * 8
    assert [death for death in CrashMarker(tmp_path).deaths if death.work == WORK] == []
