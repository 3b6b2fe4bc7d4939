"""The dev broker as a developer meets it: the command, from outside, on ports and data of its own."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.dev import broker
from app.dev.broker import BrokerError, DevBroker, free_port
from tests.support.engine_lab import ROOT, until

KAFKA = [sys.executable, "-m", "app", "kafka"]


def ask(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `heliograph kafka ARGUMENTS`; `env` on top of ours."""
    return subprocess.run([*KAFKA, *arguments], env={**os.environ, **env}, cwd=ROOT, capture_output=True, text=True)


def error_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line on stderr of a command that found problems."""
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    return lines[0]


def programs(folder: Path, *names: str, **scripts: str) -> str:
    """A PATH that holds these programs of the machine, and these scripts, and nothing else."""
    folder.mkdir()
    for name in names:
        found = next(Path(p, name) for p in os.environ["PATH"].split(":") if Path(p, name).exists())
        (folder / name).symlink_to(found)
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ended(pid: int) -> bool:
    """Gone, or a zombie that only waits for init."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " in stat.read_text()


def test_started_twice_is_one_broker_and_stopped_it_leaves_nothing(tmp_path: Path) -> None:
    port = free_port()
    mine = ("--port", str(port), "--data-dir", str(tmp_path / "kafka"))
    try:
        assert json.loads(ask("start", "--json", *mine).stdout) == {"kafka": f"127.0.0.1:{port}"}
        before = json.loads(ask("status", "--json", *mine).stdout)
        assert ask("start", *mine).returncode == 0
        assert json.loads(ask("status", "--json", *mine).stdout) == before
        assert before["running"]
    finally:
        stopped = ask("stop", "--wipe", *mine)
    assert stopped.stdout == "kafka stopped\n"
    assert not listening(port) and ended(before["pid"])
    assert not (tmp_path / "kafka").exists()
    assert ask("status", *mine).returncode == 1
    assert ask("stop", *mine).stdout == "kafka was not running\n"


def test_another_port_for_a_broker_that_runs_is_refused_and_the_broker_left_alone(tmp_path: Path) -> None:
    port, other, place = free_port(), free_port(), tmp_path / "kafka"
    mine = ("--port", str(port), "--data-dir", str(place))
    try:
        assert ask("start", *mine).returncode == 0
        before = json.loads(ask("status", "--json", *mine).stdout)
        done = ask("start", "--port", str(other), "--data-dir", str(place))
        told = f"error: a broker runs in {place} on port {port} already; stop it first, or use --port {port}"
        assert error_line(done) == told
        asked_by_another_port = ask("status", "--json", "--port", str(other), "--data-dir", str(place))
        assert json.loads(asked_by_another_port.stdout) == before == {**before, "running": True}
        assert listening(port) and not listening(other)
    finally:
        ask("stop", "--wipe", *mine)


def test_an_ephemeral_broker_ends_with_its_command_and_keeps_nothing(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [*KAFKA, "start", "--ephemeral", "--json", "--port", str(port)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        assert json.loads(process.stdout.readline()) == {"kafka": f"127.0.0.1:{port}"}
        assert any(tmp_path.iterdir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not listening(port)
    assert not list(tmp_path.glob("heliograph-kafka-*"))


def test_a_port_of_another_program_is_named_and_left_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = ask("start", "--port", str(port), "--data-dir", str(tmp_path / "k"))
        assert error_line(done) == f"error: port {port} is in use by another program: choose one with --port"
        assert listening(port)


def test_without_java_the_line_says_how_to_get_it(tmp_path: Path) -> None:
    done = ask("start", "--port", str(free_port()), "--data-dir", str(tmp_path / "k"), PATH=programs(tmp_path / "bin"))
    assert "Java 17 or newer is missing" in error_line(done)


def test_an_old_java_is_refused_by_its_version(tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", java="""echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    done = ask("start", "--port", str(free_port()), "--data-dir", str(tmp_path / "k"), PATH=path)
    assert error_line(done) == "error: Java 11 is too old: Kafka 4 needs Java 17 or newer"


def test_without_maven_and_without_jars_the_line_says_how_to_get_them(tmp_path: Path) -> None:
    env = {"PATH": programs(tmp_path / "bin", "java"), "HELIOGRAPH_CACHE": str(tmp_path / "empty")}
    done = ask("start", "--port", str(free_port()), "--data-dir", str(tmp_path / "k"), **env)
    assert "Maven (mvn) is missing" in error_line(done)


def test_a_fetch_that_fails_says_why_and_is_not_taken_for_complete(tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", "java", mvn="echo '[ERROR] no route to the registry'; exit 1")
    env = {"PATH": path, "HELIOGRAPH_CACHE": str(tmp_path / "cache")}
    for _ in range(2):
        done = ask("start", "--port", str(free_port()), "--data-dir", str(tmp_path / "k"), **env)
        assert "no route to the registry" in error_line(done)


@pytest.mark.parametrize(
    ("there", "told"), [((), "Java 17 or newer is missing"), (("java",), "Maven (mvn) is missing")]
)
def test_a_console_tool_says_what_is_missing_too(tmp_path: Path, there: tuple[str, ...], told: str) -> None:
    env = {"PATH": programs(tmp_path / "bin", *there), "HELIOGRAPH_CACHE": str(tmp_path / "empty")}
    assert told in error_line(ask("console-producer", "--topic", "notify.requests", **env))


def test_a_disk_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "LEAST_DISK_BYTES", 1 << 62)
    with pytest.raises(BrokerError, match=f"MB free at {tmp_path / 'k'}: make room"):
        DevBroker(free_port(), tmp_path / "k").start()


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = ask("start", "--port", str(free_port()), "--data-dir", str(tmp_path / "file" / "k"))
    assert f"{tmp_path / 'file' / 'k'} cannot be made" in error_line(done)


def test_a_broker_that_dies_at_start_tells_the_reason_from_its_log(tmp_path: Path) -> None:
    broker = DevBroker(free_port(), tmp_path / "k")
    (tmp_path / "k" / "data").mkdir(parents=True)
    (tmp_path / "k" / "data" / "meta.properties").write_text("version=1\nnode.id=99\ncluster.id=another\n")
    done = ask("start", "--port", str(broker.port), "--data-dir", str(tmp_path / "k"))
    line = error_line(done)
    assert "the broker did not start: " in line and "99" in line and str(tmp_path / "k" / "broker.log") in line
    assert stat.S_IMODE((tmp_path / "k" / "broker.log").stat().st_mode) == 0o600
    until(lambda: broker.running() is None)


DOCKER = """
echo "$@" >> {calls}
case "$*" in *" ps "*) echo 0123abc;; *" up "*) {up};; esac
"""


@pytest.mark.parametrize(("up", "address"), [("true", 0), ("echo 'no such image' >&2; exit 1", 1)])
def test_a_docker_engine_that_answers_goes_before_the_jars(tmp_path: Path, up: str, address: int) -> None:
    calls = tmp_path / "calls"
    path = programs(tmp_path / "bin", docker=DOCKER.format(calls=calls, up=up))
    done = ask("start", "--port", str(free_port()), "--data-dir", str(tmp_path / "k"), PATH=path)
    assert " up --detach --wait kafka" in calls.read_text()
    assert done.returncode == address
    assert ("Java 17 or newer is missing" in done.stderr) == bool(address)


def test_a_docker_client_without_an_engine_is_as_good_as_none(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    path = programs(tmp_path / "bin", docker=f'echo "$@" >> {calls}; exit 1')
    done = ask("start", "--port", str(free_port()), "--data-dir", str(tmp_path / "k"), PATH=path)
    assert "Java 17 or newer is missing" in error_line(done)
    assert calls.read_text() == "info\n"
