"""A worker's wall clock is off by what its file holds, at once, and its other clocks are not."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import struct, sys, time
from pathlib import Path
from app import clock
from ops.chaos.worker import step_clock

file = Path(sys.argv[1])
step_clock(file)
def all_off():
    real = time.clock_gettime(time.CLOCK_REALTIME)
    return [round(time.time() - real), round(clock.now_ms() / 1000 - real)]
boot = clock.boot_s()
print(*all_off())
with file.open("r+b") as opened:
    opened.write(struct.pack("<q", int(float(sys.argv[2]) * 1e9)))
print(*all_off())
time.sleep(0.01)
print(clock.boot_s() - boot < 5)
"""


@pytest.mark.parametrize("seconds", [-15, 3])
def test_a_step_is_seen_at_once_by_the_wall_clock_alone(tmp_path: Path, seconds: int):
    file = tmp_path / "clock"
    file.write_bytes(struct.pack("<q", 0))
    command = [sys.executable, "-c", PROGRAM, str(file), str(seconds)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0 0", f"{seconds} {seconds}", "True"]
