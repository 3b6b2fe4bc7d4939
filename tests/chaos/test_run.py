"""The product under fire for three minutes, by a fixed seed whose first faults hold two kinds of poison."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST_S = 420


def test_every_promise_holds_under_faults_of_many_kinds():
    env = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    done = subprocess.run(
        [ROOT / "ops" / "chaos" / "run", "--minutes", "1.5", "--seed", "181", "--json"],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["messages"] > 300
    assert len(summary["faults"]) >= 4
    assert sum(kind.startswith("poison_") for kind in summary["faults"]) >= 2
