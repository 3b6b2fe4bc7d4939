"""P8: what libraries log, and what a process says when it dies of an exception, holds nothing that the exception says."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DYING = """
from app import telemetry
telemetry.configure("debug")
def inner():
    raise ValueError("canary +12125550177")
inner()
"""
LOGGING = """
import asyncio, logging
from app import telemetry
telemetry.configure("debug")
async def failing():
    raise ValueError("canary +12125550177")
async def main():
    task = asyncio.ensure_future(failing())
    await asyncio.sleep(0)
    del task
asyncio.run(main())
error = ValueError("canary +12125550177")
logging.getLogger("faust").error("agent %s raised %r", "intake", error)
logging.getLogger("faust").error("agent raised", exc_info=error)
logging.getLogger("faust").error("to +12125550177\\nbody: canary")
"""


def lines(program: str) -> tuple[int, list[dict]]:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "canary" not in done.stderr and "12125550177" not in done.stderr
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def test_a_process_that_dies_of_an_exception_says_which_and_where_but_not_what_it_said() -> None:
    code, [last] = lines(DYING)
    assert (code, last["event"], last["error"]) == (1, "process.crashed", "ValueError")
    assert last["frames"] == ["<string>:6:<module>", "<string>:5:inner"]


def test_what_libraries_log_names_exceptions_by_their_type() -> None:
    _, told = lines(LOGGING)
    assert [line["event"] for line in told] == [
        "Task exception was never retrieved",
        "agent intake raised 'ValueError'",
        "agent raised",
        "to <number>",
    ]
    assert [line.get("error", "") for line in told] == ["ValueError", "", "ValueError", ""]


FULL = """
from app import telemetry
telemetry.configure()
for _ in range(3000):  # more than any buffer holds
    telemetry.logger("app").error("spool.refused")
print("went on")
"""


def test_a_log_that_takes_no_line_stops_no_work() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", FULL], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"went on\n")


ODD = """
from app import telemetry
telemetry.configure()
telemetry.logger("app").error("lane.stopped", code=10**30, lane="a\\ud800", codes=[10**30], key="\\ud83d+14155550123", waiting=1)
"""


def test_what_json_cannot_hold_costs_no_line_and_raises_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", ODD], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stderr)
    assert (said["event"], said["waiting"], said["lane"], said["code"], said["codes"]) == (
        "lane.stopped",
        1,
        "a?",
        "<int>",
        "<list>",
    )
    assert "4155550123" not in done.stderr.decode()
