"""SIGHUP reaches ingress and worker of a running pipeline: what the token file says then is what counts."""

import json
import os
import signal
from pathlib import Path
from urllib.request import Request, urlopen

from app.dev.broker import free_port
from app.dev.dev_cluster import DevCluster
from app.dev.process_env import ACCOUNT, TOKEN
from tests.support.cluster import event, produce, read, standing
from tests.support.engine_lab import until

TEXT, JSON = {"from": "+12125550101", "body": "hello"}, {"Content-Type": "application/json"}
TENANTS = """
[tenants.default]
shared_requests = true
account_sid = "{account}"
auth_tokens_file = "{tokens}"
status_callback_url = "http://127.0.0.1:{port}/twilio/status"
inbound_url = "http://127.0.0.1:{port}/twilio/inbound"
[tenants.default.lanes.main]
from_number = "+15005550006"
rate = 0
"""


def hang_up(stand: DevCluster, name: str) -> None:
    part = stand.parts[name]
    before = part.log.read_text().count("settings.read_again")
    os.kill(part.pid, signal.SIGHUP)
    until(lambda: part.log.read_text().count("settings.read_again") > before)


def updates(stand: DevCluster, key: str, event: str) -> list[str]:
    all_told = read(stand, "notify.updates")
    ids = {u["message_id"] for u in all_told if u.get("idempotency_key") == key}
    told = [u for u in all_told if u["message_id"] in ids and u["event"] == event]
    return [u.get("error_class") or u["state"] for u in told]


def test_a_token_is_what_its_file_says_when_the_processes_are_told(kafka: str, tmp_path: Path) -> None:
    port, file, tokens = free_port(), tmp_path / "tenants.toml", tmp_path / "tokens"
    tokens.write_text(TOKEN)
    file.write_text(TENANTS.format(account=ACCOUNT, tokens=tokens, port=port))
    extra, mix = {"HELIOGRAPH_CONFIG": str(file)}, ["--mix", '{"delivered": 1.0}']
    with standing(kafka, tmp_path, extra=extra, simulator=mix, ports={"ingress": port}) as stand:
        produce(stand, event(1))
        until(lambda: updates(stand, "k1", "outcome"))
        tokens.write_text("not-the-token")
        hang_up(stand, "worker-1")
        produce(stand, event(2))
        until(lambda: updates(stand, "k2", "refused") == ["configuration"])
        hang_up(stand, "ingress")
        ask = Request(stand.addresses()["simulator"] + "/_sim/inbound", json.dumps(TEXT).encode(), JSON)
        urlopen(ask).read()
        until(lambda: '"why":"signature"' in stand.parts["ingress"].log.read_text())
        assert [part.name for part in stand.dead()] == []
