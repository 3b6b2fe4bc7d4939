"""`heliograph up`: what dies is started again, Kafka too."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.engine_lab import until


@pytest.mark.usefixtures("one_up")
def test_up_starts_a_dead_kafka_again_and_goes_on(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONUNBUFFERED": "1"}
    env |= {name: value for name, value in os.environ.items() if name == "HELIOGRAPH_CACHE"}
    command = [sys.executable, "-m", "app", "up", "--json", "--dir", str(tmp_path)]
    with (tmp_path / "err").open("w") as err:
        up = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=err, text=True)
    try:
        assert up.stdout is not None
        said = json.loads(up.stdout.readline())
        os.kill(int((tmp_path / "kafka" / "pid").read_text()), signal.SIGKILL)
        until(lambda: "kafka ended and was started again" in (tmp_path / "err").read_text(), 60)
        settings = dict(line.split("=", 1) for line in (tmp_path / "up.env").read_text().splitlines() if "=" in line)
        send = ["send", "--to", "+12125550123", "--body", "Build 742 deployed.", "--wait", "--json"]
        done = subprocess.run([sys.executable, "-m", "app", *send], cwd=ROOT, env=env | settings, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert said["kafka"] == settings["KAFKA_BOOTSTRAP_SERVERS"]
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
