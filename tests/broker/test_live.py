"""`heliograph up --live` against somebody else's Twilio: what it asks, whom it believes, what it leaves behind."""

import base64
import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from app.dev.broker import free_port
from tests.support.cluster import event, read_topic
from tests.support.commands import ROOT
from tests.support.engine_lab import until
from tests.support.fake_twilio import ACCOUNT, INVALID, TOKEN, FakeTwilioHandler

NUMBER, SERVICE, KEY = "+15005550006", "MG" + "b" * 32, "SK" + "c" * 32
MEDIA = "https://example.com/a.png"
BY_NUMBER = {"TWILIO_FROM_NUMBER": NUMBER}
BY_SERVICE = {
    "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
    "TWILIO_API_KEY_SID": KEY,
    "TWILIO_API_KEY_SECRET": "secret-of-key",
}


@pytest.fixture
def twilio() -> Iterator[type[FakeTwilioHandler]]:
    """Listens at `twilio.url`."""

    class Fresh(FakeTwilioHandler):
        asked, answered, url = [], [], ""  # type: ignore[misc]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    Fresh.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Fresh
    server.shutdown()
    server.server_close()


class Up:
    """`heliograph up --live --json`. `said`: its one line."""

    def __init__(self, kafka: str, path: Path, twilio: str, sender: dict[str, str]) -> None:
        self.kafka, self.prefix, port = kafka, f"u{uuid.uuid4().hex[:8]}.", free_port()
        self.public = f"http://127.0.0.1:{port}/twilio"
        env = {
            "PATH": "/usr/bin:/bin",
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "HELIOGRAPH_TOPIC_PREFIX": self.prefix,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_API_BASE_URL": twilio,
            "TWILIO_STATUS_CALLBACK_URL": f"{self.public}/status",
            "TWILIO_INBOUND_WEBHOOK_PUBLIC_URL": f"{self.public}/inbound",
            **sender,
        }
        command = [
            sys.executable,
            "-m",
            "app",
            "up",
            "--live",
            "--json",
            "--port",
            str(port),
            "--dir",
            str(path / "up"),
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said: dict[str, Any] = json.loads(self.process.stdout.readline())

    def produce(self, *events: dict[str, Any]) -> None:
        producer = Producer({"bootstrap.servers": self.kafka})
        for one in events:
            producer.produce(self.prefix + "notify.requests", json.dumps(one).encode())
        assert producer.flush(20) == 0

    def outcomes(self, count: int) -> dict[str, dict[str, Any]]:
        """By idempotency key, once there are so many."""
        topic = self.prefix + "notify.outcomes"
        found = until(lambda: len(rows := read_topic(self.kafka, topic)) >= count and rows)
        return {value["idempotency_key"]: value for value in map(json.loads, (value for _, value, _ in found))}

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def left(self) -> list[str]:
        """Processes that were started by it and live."""
        mark, found = f"HELIOGRAPH_TOPIC_PREFIX={self.prefix}".encode(), []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (place / "environ").read_bytes():
                    found.append(place.name)
            except OSError:
                continue  # gone meanwhile, or somebody else's
        return found


@pytest.fixture
def up(
    one_up: None, kafka: str, tmp_path: Path, twilio: type[FakeTwilioHandler], request: pytest.FixtureRequest
) -> Iterator[Up]:
    made = Up(kafka, tmp_path, twilio.url, request.param)  # type: ignore[attr-defined]
    yield made
    if made.process.poll() is None:
        made.stop()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("up", "sender", "credentials"),
    [
        (BY_NUMBER, ("From", NUMBER), basic(ACCOUNT, TOKEN)),
        (BY_SERVICE, ("MessagingServiceSid", SERVICE), basic(KEY, "secret-of-key")),
    ],
    indirect=["up"],
    ids=["number", "service and API key"],
)
def test_up_live_asks_what_twilio_documents_and_follows_its_signed_reports(
    up: Up, twilio: type[FakeTwilioHandler], sender: tuple[str, str], credentials: str
) -> None:
    up.produce(event(1, media=[MEDIA]), event(2, to=INVALID))
    told = up.outcomes(2)
    line, headers, form = next(asked for asked in twilio.asked if ("To", INVALID) not in asked[2])
    given = dict(form)
    message = told["k1"]["message_id"]

    assert line == f"POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json HTTP/1.1"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["Authorization"] == credentials
    assert 1 <= int(given.pop("ValidityPeriod")) <= 36_000
    assert sorted(form) == sorted({*form}) and given == {
        "To": "+12125550101",
        "Body": "Build 1.",
        "MediaUrl": MEDIA,
        "StatusCallback": f"{up.public}/status?m={message}&a=1#rc=5&rp=all",
        **dict([sender]),
    }

    assert (told["k1"]["outcome"], told["k1"]["attempts"][0]["message_sid"][:2]) == ("delivered", "SM")
    until(lambda: twilio.answered == [204, 204])
    assert (told["k2"]["outcome"], told["k2"]["reason"], told["k2"]["error_code"]) == (
        "failed",
        "number_invalid",
        21211,
    )
    assert len(twilio.asked) == 2


@pytest.mark.parametrize("up", [BY_NUMBER], indirect=True)
def test_up_prints_where_everything_is_and_leaves_no_process_behind(up: Up) -> None:
    assert set(up.said) == {"kafka", "ingress", "internal", "simulator", "metrics", "read_model", "pids"}
    assert (up.said["kafka"], up.said["simulator"]) == (up.kafka, None)
    assert up.public.startswith(up.said["ingress"])
    assert {name: len(pids) for name, pids in up.said["pids"].items()} == {
        "ingress": 1,
        "worker": 1,
        "bridge": 1,
        "read-model": 1,
    }
    assert len(up.left()) == 5
    assert (up.stop(), up.left()) == (0, [])
