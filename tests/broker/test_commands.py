"""Commands and processes against a real broker: refusals, checks, the supervised worker, reading from a moment on."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import clock
from app.domain.model.identity import key_fingerprint
from tests.support.commands import KEYS, ROOT, faults, heliograph
from tests.support.engine_lab import until
from tests.support.topics import TopicEnvironment

SECRETS = {
    **KEYS,
    "TWILIO_AUTH_TOKEN": "token-of-tests",
    "TWILIO_API_KEY_SECRET": "secret-of-tests",
    "KAFKA_SASL_PASSWORD": "password-of-tests",
}
PK = key_fingerprint(bytes.fromhex(KEYS["HELIOGRAPH_PSEUDONYM_KEY"]))


@pytest.fixture
def place(kafka: str, tmp_path: Path) -> TopicEnvironment:
    return TopicEnvironment(kafka, tmp_path)


@pytest.mark.parametrize("process", ["worker", "ingress"])
def test_a_contact_log_of_another_pseudonym_key_is_refused_with_78(place: TopicEnvironment, process: str) -> None:
    place.produce("contacts", "c" * 20, {"pk": "0123abcd"})
    done = place.run(process, *(["--port", "0"] if process == "ingress" else []))
    [told] = faults(done)
    assert done.returncode == 78
    assert told.startswith(
        f"HELIOGRAPH_PSEUDONYM_KEY: topic {place.prefix}contacts was written under another key (0123abcd, ours "
    )


def test_a_contact_log_of_an_older_build_is_refused_with_one_line_that_says_what_to_do(place: TopicEnvironment) -> None:
    place.produce("contacts", "c" * 20, {"pk": key_fingerprint(bytes.fromhex(KEYS["HELIOGRAPH_PSEUDONYM_KEY"]), 1)})
    done = place.run("worker")
    [told] = faults(done)
    assert done.returncode == 78
    assert told.startswith(f"topic {place.prefix}contacts was written by an older build") and "empty data" in told
    assert [seen["problem"] for seen in looked(place) if seen["what"] == "contact log"] == [told]


def test_poison_at_the_end_of_the_contact_log_keeps_no_process_from_its_start(place: TopicEnvironment) -> None:
    poison = (b"{broken", b"[]", b"{}", b"\xff")
    for key in "abcdefgh":  # of both partitions
        for value in poison:
            place.produce("contacts", key, value)
    assert [seen["problem"] for seen in looked(place) if seen["what"] == "contact log"] == [""]
    place.produce("contacts", "a", {"pk": "0123abcd"})
    for value in poison:
        place.produce("contacts", "a", value)
    done = place.run("worker")
    assert done.returncode == 78 and "was written under another key (0123abcd" in faults(done)[0]


def looked(place: TopicEnvironment) -> list[dict[str, str]]:
    return json.loads(place.run("doctor", "--json").stdout)["findings"]


@pytest.mark.parametrize("process", ["worker", "ingress", "bridge"])
def test_missing_topics_are_named_with_what_to_run_and_end_with_78(place: TopicEnvironment, process: str) -> None:
    port = [] if process == "worker" else ["--port", "0"]
    done = place.run(process, *port, HELIOGRAPH_TOPIC_PREFIX="nobody.")
    [told] = faults(done)
    assert done.returncode == 78
    assert told.startswith("topics are missing: nobody.") and told.endswith("run: heliograph topics apply")


@pytest.mark.parametrize("process", ["worker", "ingress", "ingress inside", "bridge"])
def test_a_port_that_is_taken_is_the_last_word_of_a_process_that_reached_kafka(
    place: TopicEnvironment, process: str
) -> None:
    """`up` shows the last line that a part said."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        own = {"worker": [], "ingress inside": ["--port", "0", "--internal-port", port]}.get(process, ["--port", port])
        done = place.run(process.split()[0], *own, HELIOGRAPH_INTERNAL_PORT=port if process == "worker" else "0")
    assert done.returncode == 70
    assert done.stderr.splitlines()[-1] == f"error: cannot listen on 127.0.0.1:{port}: Address already in use"


def test_p8_doctor_and_config_answer_in_json_and_show_no_secret(place: TopicEnvironment) -> None:
    told = {
        words: place.run(*words.split(), "--json", **SECRETS)
        for words in ("doctor", "config show", "config check", "topics plan")
    }
    parsed = {words: json.loads(done.stdout) for words, done in told.items()}
    assert {words: done.returncode for words, done in told.items()} == {
        "doctor": 1,  # no worker runs
        "config show": 0,
        "config check": 2,
        "topics plan": 0,
    }
    assert [one["what"] for one in parsed["doctor"]["findings"] if one["problem"]] == ["workers"]
    assert parsed["config show"]["settings"]["TWILIO_AUTH_TOKEN"] == "***"
    assert "tenant default: account_sid: must be AC..." in parsed["config check"]["problems"]
    assert parsed["topics plan"] == {"changes": [], "refused": 0}
    plain = [place.run(*words.split(), **SECRETS).stdout for words in told]
    everything = "".join(plain) + "".join(done.stdout + done.stderr for done in told.values())
    assert [name for name, secret in SECRETS.items() if secret.rpartition(":")[2] in everything] == []


def test_every_command_that_says_something_says_it_in_json(place: TopicEnvironment) -> None:
    message, port = f"{'a' * 20}-{'b' * 20}", place.env["KAFKA_BOOTSTRAP_SERVERS"].rpartition(":")[2]
    # An outcome and an input that are there already, so that nothing waits for a worker.
    place.produce("notify.outcomes", message, outcome(1) | {"message_id": message})
    place.produce("contacts", "a" * 20, contact_input(message))
    kafka = ["--port", port, "--data-dir", str(place.path / "none")]
    said = {
        words[0]: json.loads(done.stdout)
        for words in (
            ["topics apply"],
            ["cancel", message],
            ["send", "--to", "+14155550123", "--body", "Build 742 deployed."],
            ["outcomes", "--message", message],
            ["explain", message],
            ["kafka status", *kafka],
            ["kafka stop", *kafka],
        )
        if (done := place.run(*words[0].split(), *words[1:], "--json")).returncode in (0, 1) and not faults(done)
    }
    assert said["topics apply"] == {"changes": [], "refused": 0}
    assert said["cancel"] == {"message_id": message, "tenant": "default", "requested": True}
    assert said["send"] == {"sent": 1}
    assert said["outcomes"]["message_id"] == said["explain"]["message_id"] == message
    assert said["kafka status"]["kafka"] == f"127.0.0.1:{port}"
    assert said["kafka stop"] == {"stopped": False, "wiped": False}


def test_records_that_nobody_can_read_keep_no_command_from_the_others(place: TopicEnvironment) -> None:
    message = f"{'a' * 20}-{'b' * 20}"
    for poison in (b"{broken", b"[]", b"7", b'{"type":"contact.unheard_of.v1"}'):
        place.produce("contacts", "a" * 20, poison)
    place.produce("contacts", "a" * 20, contact_input(message))
    place.produce("notify.outcomes", message, b"{broken")
    place.produce("notify.outcomes", message, outcome(1) | {"message_id": message})
    explained, outcomes = place.run("explain", message), place.run("outcomes", "--message", message)
    assert explained.returncode == 0 and "contact.cancel_requested.v1" in explained.stdout, explained.stderr
    assert outcomes.returncode == 0 and message in outcomes.stdout, outcomes.stderr


def contact_input(message: str) -> dict[str, Any]:
    given = {"id": "1", "tenant": "default", "pk": PK, "at": 1, "message_id": message}
    return {"type": "contact.cancel_requested.v1", **given}


def test_doctor_tells_of_a_spool_that_is_not_empty(place: TopicEnvironment) -> None:
    (place.path / "spool").mkdir()
    (place.path / "spool" / "1.spool").write_bytes(b"12345")
    (place.path / "spool" / "0.aside").write_bytes(b"1")
    done = place.run("doctor")
    assert done.returncode == 1
    assert "!  spool: 5 bytes wait: a running ingress sends them; set aside as unreadable: 0.aside" in done.stdout


def outcome(number: int) -> dict[str, Any]:
    return {
        "type": "notify.outcome.v1",
        "message_id": f"m{number}",
        "tenant": "default",
        "at": "2026-03-03T10:00:00.000Z",
        "recipient": {"masked": "•••0123"},
        "outcome": "delivered",
        "reason": "reported",
        "error_code": None,
        "revision": 1,
    }


def test_outcomes_are_read_from_a_moment_on(place: TopicEnvironment) -> None:
    between = place.produce("notify.outcomes", "m1", outcome(1)) + 1
    until(lambda: clock.now_ms() > between)
    place.produce("notify.outcomes", "m2", outcome(2))

    def seen(*words: str) -> list[str]:
        done = place.run("outcomes", "--json", *words)
        assert done.returncode == 0, done.stderr
        return sorted(json.loads(line)["message_id"] for line in done.stdout.splitlines())

    assert seen() == seen("--since", "1h") == seen("--since", "2026-01-01T00:00:00+01:00") == ["m1", "m2"]
    assert seen("--since", clock.iso(between)) == ["m2"]
    assert seen("--since", "2099-01-01T00:00:00Z") == []


def test_an_outcome_is_a_line_with_its_reason_and_the_rule_that_was_broken(place: TopicEnvironment) -> None:
    broken = {"outcome": "rejected", "reason": "invalid_request", "field": "to", "rule": "is required"}
    place.produce("notify.outcomes", "m1", outcome(1) | {"error_code": 30003})
    place.produce("notify.outcomes", "m2", outcome(2) | broken)
    lines = sorted(place.run("outcomes").stdout.splitlines())
    assert "  delivered: reported (30003)  " in lines[0]
    assert "  rejected: invalid_request, to is required  " in lines[1]


@pytest.mark.parametrize("text", ["yesterday", "5 m", "2026-01-01T00:00:00", "-1h"])
def test_a_moment_that_cannot_be_read_is_refused_with_its_rule(text: str) -> None:
    done = heliograph("outcomes", f"--since={text}")
    assert done.returncode == 2 and "Invalid value for '--since'" in done.stderr


class Following:
    """`heliograph outcomes --follow` while it runs."""

    def __init__(self, place: TopicEnvironment, *words: str) -> None:
        command = [sys.executable, "-u", "-m", "app", *words]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **place.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=("stdout", lambda line: self.lines.append(json.loads(line)))),
            threading.Thread(target=self._read, args=("stderr", lambda line: self.errors.append(line.decode()))),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, name: str, keep: Any) -> None:
        for line in getattr(self.process, name):
            keep(line)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def follow(place: TopicEnvironment) -> Iterator[Any]:
    made: list[Following] = []

    def begin(*words: str) -> Following:
        made.append(Following(place, *words))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def test_outcomes_are_followed_as_they_come_and_a_signal_ends_it_quietly(place: TopicEnvironment, follow: Any) -> None:
    place.produce("notify.outcomes", "m1", outcome(1))
    following = follow("outcomes", "--follow", "--since", "1h", "--json")
    until(lambda: len(following.lines) == 1)
    place.produce("notify.outcomes", "m2", outcome(2))
    until(lambda: len(following.lines) == 2)
    following.process.send_signal(signal.SIGTERM)
    assert following.process.wait(20) == 0 and following.errors == []


def test_a_supervised_worker_that_was_killed_works_again_and_ends_when_told(
    place: TopicEnvironment, follow: Any
) -> None:
    parent = follow("worker", "--supervised", "--json")
    until(lambda: len(parent.lines) == 1, 60)
    os.kill(parent.lines[0]["pid"], signal.SIGKILL)
    until(lambda: len(parent.lines) == 2, 60)
    first, second = (line["pid"] for line in parent.lines)
    assert parent.process.pid not in (first, second) and first != second
    parent.process.send_signal(signal.SIGTERM)
    assert parent.process.wait(60) == 0
    ends = [json.loads(line) for line in parent.errors if '"worker.ended"' in line]
    assert [end["code"] for end in ends] == [-9, 0] and ends[0]["why"].startswith("SIGKILL")
