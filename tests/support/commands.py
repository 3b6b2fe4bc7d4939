"""`heliograph` as a real process, with nothing in its environment but what a test says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEYS = {"HELIOGRAPH_PSEUDONYM_KEY": "11" * 32, "HELIOGRAPH_SEAL_KEYS": "k1:" + "22" * 32}


def heliograph(*words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run to its end."""
    command = [sys.executable, "-m", "app", *words]
    surroundings = {"PATH": "/usr/bin:/bin", **env}
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=60)


def faults(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """What it said was wrong; fails on a traceback."""
    assert "Traceback" not in done.stderr, done.stderr
    return [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: ")]
