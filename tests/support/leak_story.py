"""The story of the leak test: the whole way, with canaries wherever a person's words and our secrets can go."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka import Producer

from app.dev.broker import DevBroker, free_port
from app.dev.dev_cluster import ACCOUNT, DevCluster
from app.provider.webhooks import signature
from tests.support.cluster import event, prefix, read, standing
from tests.support.engine_lab import until
from tests.support.keyring import api_key, store_of
from tests.support.leaks import Canary, of_key, of_number

PERSON, OTHER = "+12125550177", "+12125550178"
TEXT, REPLY = 'Grüße "xq7-kanarie" from/to you', "zw8-kanarie, ça va?"
MEDIA = "https://media.example.com/yv9-kanarie.png?sig=9a/7"
TOKEN, KEY_SECRET, BEARER = "5c" * 16, "6d" * 16, f"hg_storystory_{('ut3kanarie' * 6)[:52]}"
STRANGER = "stranger-rs5-kanarie"  # what somebody else's request holds: a wrong bearer key, a foreign header
SEALED, PSEUDONYM = "7e" * 32, "8f" * 32
# What a team names its requests by: clear where it reads them back, and nowhere else.
KEY = "key-qp1-kanarie"
ALONG = {
    "id": "id-qp2-kanarie",
    "campaign": "campaign-qp3-kanarie",
    "metadata": {"name-qp4-kanarie": "value-qp5-kanarie"},
}
NAMES = [Canary(name.partition("-")[0], name) for name in (KEY, "id-qp2-kanarie", "campaign-qp3-kanarie")]
NAMES += [Canary("metadata", name) for name in ("name-qp4-kanarie", "value-qp5-kanarie")]
CANARIES = [
    *of_number(PERSON),
    *of_number(OTHER),
    *(Canary("text", text) for text in (TEXT, REPLY, "xq7-kanarie", "zw8-kanarie", MEDIA, "yv9-kanarie")),
    *(Canary("secret", token) for token in (TOKEN, KEY_SECRET, BEARER, "ut3kanarie", STRANGER, "rs5-kanarie")),
    *of_key("key", SEALED),
    *of_key("key", PSEUDONYM),
]
SETTINGS = {
    "HELIOGRAPH_LOG_LEVEL": "debug",
    "HELIOGRAPH_SESSION_TIMEOUT_S": "6",
    "HELIOGRAPH_OUTCOME_GRACE_S": "2",
    "HELIOGRAPH_PSEUDONYM_KEY": PSEUDONYM,
    "HELIOGRAPH_SEAL_KEYS": f"k1:{SEALED}",
    "TWILIO_AUTH_TOKEN": TOKEN,
    "TWILIO_API_KEY_SID": "SK" + "0" * 32,
    "TWILIO_API_KEY_SECRET": KEY_SECRET,
}
ENDS_S = 40


class LeakStory:
    """A stand on a broker of its own, and what is said to it. `http` is anybody; `path` holds all they keep."""

    def __init__(self, stand: DevCluster, broker: DevBroker, path: Path) -> None:
        self.stand, self.broker, self.path, self.http = stand, broker, path, httpx.Client(timeout=20)

    def produce(self, *values: Any, key: str | None = None, headers: dict[str, str] | None = None) -> None:
        producer = Producer({"bootstrap.servers": self.broker.address, "message.max.bytes": 2_000_000})
        for value in values:
            raw = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
            producer.produce(prefix(self.stand) + "notify.requests", raw, key=key, headers=headers)
        assert producer.flush(20) == 0

    def ask(self, body: Any, bearer: str = BEARER) -> httpx.Response:
        """POST /v1/messages."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        return self.http.post(f"{self.stand.addresses()['ingress']}/v1/messages", content=raw, headers=headers)

    def text(self, body: str, sender: str = PERSON) -> int:
        """A person texts in: the status of the webhook that the simulator signed."""
        said = {"from": sender, "body": body, "media": [MEDIA]}
        answer = self.http.post(f"{self.stand.addresses()['simulator']}/_sim/inbound", json=said)
        return int(answer.json()["status"])

    def signed(self, hook: str, **fields: str) -> int:
        """A callback that bears Twilio's signature, whatever is in it: the status of our answer."""
        name = {"status": "TWILIO_STATUS_CALLBACK_URL", "inbound": "TWILIO_INBOUND_WEBHOOK_PUBLIC_URL"}[hook]
        form = {
            "MessageSid": "SM" + "1" * 32,
            "AccountSid": ACCOUNT,
            "From": PERSON,
            "To": PERSON,
            "Body": TEXT,
            **fields,
        }
        url = f"{self.stand.env[name]}?m={'a' * 20}-{'b' * 20}&a=1"
        return self.http.post(
            url, data=form, headers={"X-Twilio-Signature": signature(TOKEN, url, list(form.items()))}
        ).status_code

    def forged(self) -> httpx.Response:
        """A text that Twilio did not sign."""
        form = {"MessageSid": "SM" + "0" * 32, "AccountSid": ACCOUNT, "From": PERSON, "To": OTHER, "Body": TEXT}
        url = self.stand.env["TWILIO_INBOUND_WEBHOOK_PUBLIC_URL"]
        return self.http.post(url, data=form, headers={"X-Twilio-Signature": STRANGER})

    def ended(self, *keys: str) -> dict[str, dict[str, Any]]:
        """The last outcome of every idempotency key, once these have one; parts that die are started again."""

        def look() -> dict[str, dict[str, Any]] | None:
            self.stand.revive()
            found = {value["idempotency_key"]: value for value in read(self.stand, "notify.outcomes")}
            return found if found.keys() >= set(keys) else None

        return dict(until(look, ENDS_S))

    def letters(self, count: int) -> list[dict[str, Any]]:
        """Dead letters, once there are so many."""
        return list(until(lambda: len(found := read(self.stand, "notify.deadletters")) >= count and found, ENDS_S))

    def spool(self) -> list[Path]:
        """Spool files that hold something."""
        found = (self.path / "stand" / "spool").glob("*.spool")
        return [file for file in found if file.stat().st_size]

    @contextmanager
    def without_kafka(self) -> Iterator[None]:
        """The broker hangs: it takes connections and answers nobody."""
        pid = self.broker.running()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def telling(path: Path) -> Iterator[LeakStory]:
    """Everything up; all of it down at the end, what it kept stays under `path`."""
    broker = DevBroker(free_port(), path / "kafka")
    broker.start()
    try:
        delivered = ["--mix", '{"delivered": 1.0}']
        given = {
            "program": ("-m", "tests.support.raising"),
            "bridge": True,
            "read_model": True,
            "extra": SETTINGS
            | {"HELIOGRAPH_API_KEY_STORE": store_of(path / "api-keys.json", api_key(BEARER, "default"))},
            "simulator": delivered,
        }
        with standing(broker.address, path, **given) as stand:
            story = LeakStory(stand, broker, path)
            yield story
            story.http.close()
    finally:
        broker.stop()


def odd_callbacks() -> Iterator[tuple[str, dict[str, str]]]:
    """What Twilio has never sent yet, and a stranger who learnt the token might: which webhook, which fields."""
    for name in ("MessageStatus", "MessageSid", "ErrorCode", "RawDlrDoneDate", "ChannelToAddress", "AccountSid2"):
        yield "status", {"MessageStatus": "sent", name: TEXT}
    for name in ("From", "To", "OptOutType", "MessagingServiceSid", "MediaUrl0", "MessageSid", "ProfileName"):
        yield "inbound", {name: TEXT}
    yield "inbound", {"OptOutType": "STOP", "From": OTHER}
    yield "inbound", {"From": PERSON[1:]}
    yield "inbound", {"From": f"whatsapp:{OTHER}"}


def bad_events() -> Iterator[tuple[Any, str, str, bool]]:
    """What a producer gets wrong: the value, the field and rule told, and whether its message can be identified."""
    yield f'{{"to":"{PERSON}", {TEXT}'.encode(), "value", "is not JSON in UTF-8", False
    yield [PERSON, TEXT], "value", "expected `object`, got `array`", False
    yield _bad(0, type=TEXT), "type", "is not one of the known values", False
    yield {"type": "notify.requested.v1", "body": TEXT}, "to", "is required", False
    yield _bad(1, to=f"{PERSON}77"), "to", "is not a possible phone number", True
    yield _bad(2, body=" "), "body", "is empty and there is no media", True
    yield _bad(3, body=TEXT * 100), "body", "is longer than 1600 characters", True
    yield _bad(4, media=[MEDIA] * 11), "media", "has more than 10 entries", True
    yield _bad(5, send_at="2026-12-01T10:00:00"), "send_at", "expected `datetime` with a timezone component", True
    yield _bad(6, tenant="nobody"), "tenant", "is not known", False
    yield _bad(7, sender="nowhere"), "sender", "is not a lane of this tenant", True
    yield _bad(8, to=[f"+1212555{n:04d}" for n in range(1001)]), "to", "names more than 1000 recipients", False
    yield _bad(9, body=TEXT + "x" * 1_000_000), "value", "is longer than 900000 bytes", False
    yield _bad(10, priority=TEXT), "priority", "is not one of the known values", True
    yield _bad(12, to=OTHER[1:]), "to", "is not a phone number with + and country code", True
    yield _bad(11, media=[MEDIA.replace("https", "http")]), "media[0]", "is not an https URL", True


def _bad(n: int, **given: Any) -> dict[str, Any]:
    return {**event(n, to=PERSON, body=TEXT), "idempotency_key": f"bad-{n}", **given}
