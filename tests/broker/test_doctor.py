"""`heliograph doctor --public`: a signed probe goes through the door and is found on the log, sealed, and put away."""

import asyncio
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.queries.webhook_probe import probe
from app.config.settings import Settings
from app.config.tenants import read_tenants
from app.dev.broker import free_port
from app.dev.process import ChildProcess
from app.internal_server import InternalServer
from app.provider.account.findings import Finding, Name
from tests.support.commands import ROOT, heliograph
from tests.support.simulated import ACCOUNT, TOKEN, WebhookReceiver
from tests.support.topics import TopicEnvironment


class Public(TopicEnvironment):
    """A door of its own at the public URLs, and an account that is not looked at."""

    def __init__(self, kafka: str, path: Path) -> None:
        super().__init__(kafka, path)
        self.port = free_port()
        self.env |= self.at(f"http://127.0.0.1:{self.port}/twilio")
        self.door = ChildProcess(
            "ingress",
            ["ingress", "--port", str(self.port), "--internal-port", "0"],
            {**self.env, "PATH": "/usr/bin:/bin"},
            path / "log",
        )

    @staticmethod
    def at(public: str) -> dict[str, str]:
        return {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_FROM_NUMBER": "+15005550006",
            "TWILIO_STATUS_CALLBACK_URL": f"{public}/status",
            "TWILIO_INBOUND_WEBHOOK_PUBLIC_URL": f"{public}/inbound",
        }


@pytest.fixture
def public(kafka: str, tmp_path: Path) -> Iterator[Public]:
    made = Public(kafka, tmp_path)
    made.door.start()
    made.door.wait()
    yield made
    made.door.stop()


def test_p4_a_probe_of_each_public_url_is_found_on_the_log_and_put_away(public: Public) -> None:
    done = public.run("doctor", "--public", "--json")
    findings = json.loads(done.stdout)["findings"]
    assert {"what": "public URLs", "problem": ""} in findings
    assert [finding["what"] for finding in findings if finding["problem"]] == ["workers"], "none runs here"
    assert public.run("deadletters", "list").stdout == ""
    letters = [json.loads(line) for line in public.run("deadletters", "list", "--all", "--json").stdout.splitlines()]
    assert [(letter["handled"]["how"], letter["handled"]["by"]) for letter in letters] == [("dropped", "doctor")] * 3


@pytest.mark.usefixtures("one_up")
def test_nothing_is_wrong_with_what_up_brings_up_as_the_settings_that_it_kept_tell(kafka: str, tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "KAFKA_BOOTSTRAP_SERVERS": kafka, "HELIOGRAPH_TOPIC_PREFIX": f"{tmp_path.name}."}
    words = [sys.executable, "-m", "app", "up", "--port", "0", "--dir", str(tmp_path), "--json"]
    with subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE) as up:
        try:
            assert up.stdout is not None and json.loads(up.stdout.readline())["ingress"]
            kept = tmp_path / "up.env"
            told = dict(line.split("=", 1) for line in kept.read_text().splitlines())
            done = heliograph("doctor", "--public", "--json", **told)
        finally:
            up.terminate()
    seen = {finding["what"]: finding["problem"] for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 0 and set(seen.values()) == {""}, done.stdout
    assert {"tenant default: account at Twilio", "public URLs", "keys"} <= set(seen)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_url_that_the_door_does_not_verify_is_found(public: Public) -> None:
    """As behind a proxy that takes a part of the path away."""
    done = public.run("doctor", "--public", "--json", **public.at(f"http://localhost:{public.port}/twilio"))
    seen = [finding for finding in json.loads(done.stdout)["findings"] if "name" in finding]
    assert done.returncode == 1
    assert [(finding["name"], finding["what"]) for finding in seen] == [
        ("probe_refused", f"tenant default: {field}")
        for field in ("status_callback_url", "inbound_url", "fallback_url")
    ]


def test_an_answer_that_was_not_the_doors_is_missed_on_the_log(kafka: str, tmp_path: Path) -> None:
    place, hook = Public(kafka, tmp_path), WebhookReceiver()

    async def ask() -> list[Finding]:
        served = InternalServer(hook, "127.0.0.1", 0)
        await served.listening()
        settings = Settings.read({**place.env, **Public.at(f"{served.url}/twilio")})
        found = await probe(settings, list(read_tenants(settings).values()), found_s=1.0)
        await served.stop()
        return found

    assert [finding.name for finding in asyncio.run(ask())] == [Name.PROBE_LOST] * 3 and len(hook.posted) == 3
