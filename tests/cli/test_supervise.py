"""The supervisor of a worker: what it starts again, after how long, and what it passes on. The child is a stand-in."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.process.supervisor import Backoff, meaning
from tests.support.commands import ROOT, heliograph

PARENT = """
import sys
from app import telemetry
from app.cli.process.supervisor import Backoff, supervise
telemetry.configure("info")
sys.exit(supervise(sys.argv[2:], Backoff(float(sys.argv[1]), 30)))
"""
# Each life takes the next word of a file: an exit code, a signal to die of, or `stay` (until SIGTERM, then code 0).
CHILD = """
import os, signal, sys, time
path = sys.argv[1]
words = open(path).read().split()
open(path, "w").write(" ".join(words[1:]))
word = words[0]
if word.startswith("SIG"):
    os.kill(os.getpid(), signal.Signals[word])
if word == "hear":
    signal.signal(signal.SIGHUP, lambda *_: (print("heard", flush=True), sys.exit(70)))
    print("hearing", flush=True)
    while True:
        time.sleep(60)
if word == "stay":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: (print("heard", signal.Signals(n).name, flush=True), sys.exit(0)))
    print("staying", flush=True)
    while True:
        time.sleep(60)
sys.exit(int(word))
"""


@pytest.fixture
def lives(tmp_path: Path) -> Iterator["Lives"]:
    made = Lives(tmp_path / "lives")
    yield made
    made.close()


class Lives:
    """A parent and the words its children live by."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parent: subprocess.Popen[str] | None = None

    def start(self, words: str, first_s: float = 0.01) -> "subprocess.Popen[str]":
        self.path.write_text(words)
        child = [sys.executable, "-c", CHILD, str(self.path)]
        self.parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(first_s), *child],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.parent

    def close(self) -> None:
        if self.parent is not None:
            self.parent.kill()
            self.parent.communicate()


def ends(errors: str) -> list[dict]:
    lines = [json.loads(line) for line in errors.splitlines()]
    return [line for line in lines if line["event"] == "worker.ended"]


@pytest.mark.parametrize("code", [0, 2, 78])
def test_what_a_new_start_cannot_mend_is_passed_on(lives: Lives, code: int) -> None:
    parent = lives.start(f"{code} 0")
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == code and lives.path.read_text() == "0"
    assert [(end["code"], end["why"]) for end in ends(errors)] == [(code, meaning(code))]


def test_a_worker_that_ended_itself_is_started_again_with_growing_waits_and_the_log_says_why(lives: Lives) -> None:
    parent = lives.start("70 SIGKILL 1 SIGSEGV 78")
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == 78 and lives.path.read_text() == ""
    assert [(end["code"], end["why"]) for end in ends(errors)] == [
        (70, "the way itself failed; the process ended un-acked"),
        (-9, "SIGKILL: killed from outside, or out of memory"),
        (1, "an uncaught fault"),
        (-11, "SIGSEGV"),
        (78, "a new start would end the same way; an operator must act"),
    ]
    assert [end.get("again_in_s") for end in ends(errors)] == [0.01, 0.02, 0.04, 0.08, None]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on_and_its_end_waited_for(lives: Lives, number: signal.Signals) -> None:
    parent = lives.start("stay 0")
    assert parent.stdout is not None and parent.stdout.readline() == "staying\n"
    parent.send_signal(number)
    said, errors = parent.communicate(timeout=30)
    assert (parent.returncode, said) == (0, f"heard {number.name}\n")
    assert [end["code"] for end in ends(errors)] == [0] and lives.path.read_text() == "0"


def test_sighup_is_passed_on_and_ends_nothing(lives: Lives) -> None:
    parent = lives.start("hear 0")
    assert parent.stdout is not None and parent.stdout.readline() == "hearing\n"
    parent.send_signal(signal.SIGHUP)
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == 0 and [end["code"] for end in ends(errors)] == [70, 0]


def test_a_signal_during_the_wait_ends_it_and_nothing_is_started(lives: Lives) -> None:
    parent = lives.start("70 0", first_s=300)
    assert parent.stderr is not None
    said = parent.stderr.readline() + parent.stderr.readline()
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(10) == 0 and lives.path.read_text() == "0"
    assert ends(said)[0]["again_in_s"] == 300


def test_waits_double_up_to_half_a_minute_and_a_minute_of_life_begins_anew() -> None:
    backoff = Backoff()
    assert [backoff.after(5) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert [backoff.after(60), backoff.after(59.9)] == [0.5, 1]


def test_a_supervised_worker_with_bad_settings_is_not_even_started() -> None:
    done = heliograph("worker", "--supervised")
    assert done.returncode == 2 and "worker.started" not in done.stderr
