"""P7 on the real thing: each tenant's requests on a topic of its own, and the way of a new tenant into a running system."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.dev.broker import free_port
from app.dev.dev_cluster import DevCluster
from app.dev.process_env import simulated
from tests.support.cluster import event, prefix, produce, read, standing
from tests.support.commands import heliograph
from tests.support.engine_lab import until
from tests.support.keyring import ACME_KEY, api_key, store_of

TENANT = """
[tenants.{name}]
account_sid = "{TWILIO_ACCOUNT_SID}"
auth_tokens = ["{TWILIO_AUTH_TOKEN}"]
status_callback_url = "http://127.0.0.1:{ingress}/twilio/{name}/status"
inbound_url = "http://127.0.0.1:{ingress}/twilio/{name}/inbound"
{more}
[tenants.{name}.lanes.main]
messaging_service_sid = "{TWILIO_MESSAGING_SERVICE_SID}"
rate = 0
"""
LATER = "2099-03-03T10:00:00Z"


class Place:
    """A stand with tenants acme, whose requests come on its own topic only, and beta, which allows the shared one."""

    def __init__(self, stand: DevCluster, file: Path, given: dict[str, Any]) -> None:
        self.stand, self._file, self._given = stand, file, given

    def add(self, name: str) -> None:
        """A tenant more in the tenants file."""
        self._file.write_text(self._file.read_text() + TENANT.format(name=name, more="", **self._given))

    def outcomes(self) -> dict[str, tuple[str, str, str]]:
        """Tenant, outcome and reason by idempotency key."""
        found = read(self.stand, "notify.outcomes")
        return {one["idempotency_key"]: (one["tenant"], one["outcome"], one["reason"]) for one in found}

    def letters(self) -> list[tuple[str, str]]:
        found = read(self.stand, "notify.deadletters")
        sources = [(one["source"].removeprefix(prefix(self.stand)), one["rule"]) for one in found]
        return sorted((source.rpartition("-")[0].rpartition("-")[0], rule) for source, rule in sources)

    def message(self, key: str) -> str:
        """Id of the message that a request with this key opened."""
        opened = [one for one in read(self.stand, "notify.updates") if one.get("idempotency_key") == key]
        return opened[0]["message_id"] if opened else ""


@pytest.fixture
def place(kafka: str, tmp_path: Path) -> Iterator[Place]:
    ports, file = {"ingress": free_port(), "simulator": free_port()}, tmp_path / "tenants.toml"
    given = {**simulated(*ports.values()), "ingress": ports["ingress"]}
    named = {"acme": "", "beta": "shared_requests = true"}
    file.write_text("".join(TENANT.format(name=name, more=more, **given) for name, more in named.items()))
    keys = store_of(tmp_path / "keys.json", api_key(ACME_KEY, "acme"))
    extra = {"HELIOGRAPH_CONFIG": str(file), "HELIOGRAPH_SESSION_TIMEOUT_S": "6", "HELIOGRAPH_API_KEY_STORE": keys}
    mix = ["--mix", '{"delivered": 1.0}']
    with standing(kafka, tmp_path, extra=extra, ports=ports, simulator=mix) as stand:
        yield Place(stand, file, given)


def test_p7_a_tenant_acts_through_its_own_topic_and_a_new_one_needs_its_topic_and_a_restart(place: Place) -> None:
    stand = place.stand
    produce(stand, event(1), event(2, tenant="beta"), event(3, send_at=LATER), topic="notify.requests.acme")
    produce(stand, event(4, tenant="beta"), event(5, tenant="acme"))
    done = heliograph("send", "--tenant", "acme", "--to", "+12125550106", "--body", "6", "--key", "k6", **stand.env)
    assert done.returncode == 0, done.stderr
    posted = httpx.post(
        f"{stand.addresses()['ingress']}/v1/messages",
        json={"to": "+12125550107", "body": "7"},
        headers={"Authorization": f"Bearer {ACME_KEY}", "Idempotency-Key": "k7"},
    )
    assert posted.status_code == 202
    told = {
        **dict.fromkeys(["k1", "k6", "k7"], ("acme", "delivered", "reported")),
        "k2": ("acme", "rejected", "invalid_request"),
        "k4": ("beta", "delivered", "reported"),
    }
    until(lambda: place.outcomes() == told)
    assert place.letters() == [
        ("notify.requests", "takes requests from its own topic only (shared_requests in the tenants file)"),
        ("notify.requests.acme", "is not the tenant of this topic"),
    ]
    assert {one["idempotency_key"] for one in read(stand, "notify.requests.acme")} == {"k1", "k2", "k3", "k6", "k7"}
    cancels(place)
    joins(place)


def cancels(place: Place) -> None:
    """A message is canceled by its own tenant alone; the cancel of another is a dead letter."""
    canceled = {"type": "notify.canceled.v1", "message_id": place.message("k3")}
    produce(place.stand, canceled, topic="notify.requests.beta")
    until(lambda: len(place.letters()) == 3)
    assert place.letters()[0] == ("contacts", "is not the tenant of this contact") and "k3" not in place.outcomes()
    assert heliograph("cancel", canceled["message_id"], "--tenant", "acme", **place.stand.env).returncode == 0
    until(lambda: place.outcomes().get("k3") == ("acme", "canceled", "cancel_requested"))


def joins(place: Place) -> None:
    """Tenant new: in the tenants file, `topics apply`, a restart."""
    stand, topic = place.stand, f"{prefix(place.stand)}notify.requests.new"
    place.add("new")
    own = {"HELIOGRAPH_DATA_DIR": str(stand.plan.directory / "extra"), "HELIOGRAPH_INTERNAL_PORT": "0"}
    early = heliograph("worker", **{**stand.env, **own})
    said = f"error: topics are missing: {topic}; run: heliograph topics apply"
    assert (early.returncode, early.stderr.splitlines()[-1:]) == (78, [said])
    assert heliograph("topics", "apply", **stand.env).returncode == 0
    for part in ("worker-1", "ingress"):
        stand.parts[part].stop()
        stand.parts[part].restart()
    produce(stand, event(8), topic="notify.requests.new")
    until(lambda: place.outcomes().get("k8") == ("new", "delivered", "reported"), 60)
    doctor = heliograph("doctor", **stand.env).stdout
    assert "shared request topic, for beta" in doctor and "1 request for a tenant that takes none" in doctor
