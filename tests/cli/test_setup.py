"""The two commands on a machine where something is missing: one clear line, from `ops/venv.sh` that both source."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import ROOT

NEEDED = ("bash", "env", "cat", "cut", "sha256sum", "grep", "rm")


def machine(path: Path, *names: str, **scripts: str) -> str:
    """A PATH with what every Debian has, these programs, and these scripts in place of others."""
    path.mkdir()
    for name in (*NEEDED, *names):
        (path / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    for name, text in scripts.items():
        (path / name).write_text(f"#!/bin/sh\n{text}\n")
        (path / name).chmod(0o755)
    return str(path)


def sourced(words: str, cwd: Path = ROOT, **env: str) -> "subprocess.CompletedProcess[str]":
    command = ["/bin/bash", "-euo", "pipefail", "-c", f". {ROOT}/ops/venv.sh; {words}"]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ((), "Java 17 or newer is missing (it runs Kafka): apt-get install openjdk-17-jre-headless"),
        (("java",), "Maven is missing (it fetches Kafka): apt-get install maven"),
    ],
)
def test_what_the_broker_needs_is_named(tmp_path: Path, there: tuple[str, ...], told: str) -> None:
    scripts = dict.fromkeys(there, "exit 0")
    done = sourced("ensure_broker_tools", PATH=machine(tmp_path / "bin", **scripts), HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, f"error: {told}\n")


@pytest.mark.parametrize("way", ["fetched", "given", "docker"])
def test_with_kafka_fetched_before_a_broker_given_or_an_engine_nothing_more_is_needed(tmp_path: Path, way: str) -> None:
    cache = tmp_path / "cache"
    (cache / "kafka-4").mkdir(parents=True)
    (cache / "kafka-4" / "complete").touch()
    env = {
        "fetched": {"PATH": machine(tmp_path / "a", java="exit 0"), "HELIOGRAPH_CACHE": str(cache)},
        "given": {"PATH": machine(tmp_path / "b"), "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"},
        "docker": {"PATH": machine(tmp_path / "c", docker="exit 0")},
    }[way]
    done = sourced("ensure_broker_tools", **{"HOME": str(tmp_path), **env})
    assert (done.returncode, done.stderr) == (0, "")


def test_an_old_python_is_none(tmp_path: Path) -> None:
    done = sourced("find_python", PATH=machine(tmp_path / "bin", **{"python3": "exit 1", "python3.11": "exit 1"}))
    told = "error: Python 3.11 or newer is missing: apt-get install python3 python3-venv\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_python_without_venv_is_named_with_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "locks").symlink_to(ROOT / "ops" / "locks")
    only = machine(tmp_path / "bin", **{"python3.11": '[ "$1" = -c ]'})
    done = sourced("ensure_venv", tmp_path, PATH=only)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: python3.11 cannot make a virtual environment: apt-get install python3-venv"
    )


@pytest.mark.parametrize(("works", "made"), [(True, False), (False, True)])
def test_an_environment_is_kept_while_its_lock_is_the_same_and_its_python_runs(
    tmp_path: Path, works: bool, made: bool
) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "locks").symlink_to(ROOT / "ops" / "locks")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.symlink_to("/bin/true" if works else tmp_path / "gone")
    only = machine(tmp_path / "bin", **{"python3.11": '[ "$1" = -c ]'})
    stamp = "sha256sum ops/locks/dev.lock | cut -d' ' -f1 > .venv/lock.sha256"
    done = sourced(f"{stamp}; ensure_venv", tmp_path, PATH=only)
    assert ("making .venv" in done.stderr) is made


def test_the_pip_and_setuptools_of_an_old_python_do_not_stay(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "locks").symlink_to(ROOT / "ops" / "locks")
    calls, inside = tmp_path / "calls", tmp_path / "inside"
    inside.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    inside.chmod(0o755)
    python = f'[ "$1" = -c ] || {{ mkdir -p .venv/bin; cp {inside} .venv/bin/python; }}'
    done = sourced("ensure_venv", tmp_path, PATH=machine(tmp_path / "bin", "mkdir", "cp", **{"python3.11": python}))
    assert done.returncode == 0, done.stderr
    assert calls.read_text().splitlines()[-1].split()[-3:] == ["--yes", "setuptools", "pip"]


def test_nothing_of_the_environment_reaches_demo_and_tests_but_broker_and_cache(tmp_path: Path) -> None:
    kept = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "HELIOGRAPH_CACHE": "/cache"}
    dropped = {"TWILIO_AUTH_TOKEN": "t", "HELIOGRAPH_CONFIG": "/c", "KAFKA_SASL_USERNAME": "u", "PORT": "1"}
    done = sourced("only_our_environment; env", PATH=os.environ["PATH"], **kept, **dropped)
    names = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert names.items() >= kept.items() and not names.keys() & dropped.keys()
