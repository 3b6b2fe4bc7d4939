"""What `heliograph doctor` finds without Kafka: secret files, accounts, and what answers at the public URLs."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.cli.queries.findings import readable_secrets
from app.cli.queries.webhook_probe import probe
from app.config.settings import Settings
from app.config.tenants import LaneConfig, Tenant, read_tenants
from app.domain.content.phone import mask
from app.internal_server import InternalServer
from app.provider.account.findings import Name
from tests.support.commands import KEYS, heliograph
from tests.support.simulated import ACCOUNT, TOKEN, WebhookReceiver

NOBODY = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
TWILIO = {
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "TWILIO_FROM_NUMBER": "+15005550006",
    "TWILIO_STATUS_CALLBACK_URL": "http://hooks.example.com/twilio/status",
    "TWILIO_INBOUND_WEBHOOK_PUBLIC_URL": "https://hooks.example.com/twilio/inbound",
}
TABLE = """\
[tenants.acme]
{}
[tenants.acme.lanes.main]
from_number = "+15005550006"
"""


def written(path: Path, text: str, mode: int) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def readable(env: dict[str, str]) -> list[tuple[str, str]]:
    settings = Settings.read(env)
    found = list(readable_secrets(env, settings, read_tenants(settings)))
    assert {finding.name for finding in found} <= {Name.SECRET_READABLE}
    return [(finding.tenant, finding.where) for finding in found]


@pytest.mark.parametrize(("mode", "told"), [(0o600, []), (0o400, []), (0o640, [1]), (0o604, [1])])
def test_a_secret_file_that_others_may_read_is_found(mode: int, told: list[int], tmp_path: Path) -> None:
    env = {"TWILIO_AUTH_TOKEN_FILE": written(tmp_path / "token", TOKEN, mode)}
    assert readable(env) == [("", "TWILIO_AUTH_TOKEN_FILE")] * len(told)


def test_a_tenants_file_is_a_secret_only_if_it_holds_one(tmp_path: Path) -> None:
    tokens = written(tmp_path / "tokens", TOKEN, 0o644)
    inside = written(tmp_path / "inside.toml", TABLE.format(f'auth_tokens = ["{TOKEN}"]'), 0o644)
    shared = written(tmp_path / "shared.toml", TABLE.format('shared_keys = {k1 = "one"}'), 0o644)
    beside = written(tmp_path / "beside.toml", TABLE.format(f'auth_tokens_file = "{tokens}"'), 0o644)
    assert readable({"HELIOGRAPH_CONFIG": inside}) == [("", "HELIOGRAPH_CONFIG")]
    assert readable({"HELIOGRAPH_CONFIG": shared}) == [("", "HELIOGRAPH_CONFIG")]
    assert readable({"HELIOGRAPH_CONFIG": beside}) == [("acme", "auth_tokens_file")]


def test_a_file_of_shared_keys_is_a_secret(tmp_path: Path) -> None:
    keys = written(tmp_path / "keys", "k1:one", 0o640)
    file = written(tmp_path / "t.toml", TABLE.format(f'shared_keys_file = "{keys}"'), 0o644)
    assert readable({"HELIOGRAPH_CONFIG": file}) == [("acme", "shared_keys_file")]


def test_twilio_itself_is_not_asked_without_leave_and_what_needs_no_call_is_found() -> None:
    done = heliograph("doctor", "--json", **KEYS, **NOBODY, **TWILIO)
    seen = {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1 and seen["tenant default: status_callback_url"]["name"] == "url_http"
    plain = heliograph("doctor", **KEYS, **NOBODY, **{**TWILIO, "TWILIO_STATUS_CALLBACK_URL": "https://a.example/s"})
    assert "ok  tenant default: URLs (Twilio is asked with --live)" in plain.stdout


def test_a_server_of_ones_own_is_asked_and_a_finding_says_what_to_do() -> None:
    done = heliograph("doctor", **KEYS, **NOBODY, **TWILIO, TWILIO_API_BASE_URL="http://127.0.0.1:1")
    assert (
        "!  tenant default: api_base_url: ClientConnectorError\n      twilio_unreachable: look at network"
        in done.stdout
    )


def test_a_probe_needs_the_keys_that_open_what_it_left() -> None:
    done = heliograph("doctor", "--public", **NOBODY, **TWILIO)
    assert done.returncode == 2 and "HELIOGRAPH_SEAL_KEYS: is required" in done.stderr


def test_a_probe_of_nothing_is_a_problem() -> None:
    done = heliograph("doctor", "--public", **KEYS, **NOBODY)
    assert "!  public URLs: no tenant has account_sid, auth_tokens and a URL to probe" in done.stdout


# What answers, and what is found; the inbound URL's answer and the fallback's are TwiML.
ANSWERS: list[tuple[tuple[int, str, bytes], Name, str]] = [
    ((301, "", b""), Name.PROBE_REFUSED, "is redirected (301)"),
    ((403, "", b""), Name.PROBE_REFUSED, "403: the door verifies another URL or another token"),
    ((502, "text/html", b"bad gateway"), Name.PROBE_REFUSED, "is answered with 502"),
    ((200, "text/plain", b"OK"), Name.PROBE_REFUSED, "text/plain, which Twilio would text to the person"),
]


def tenant(url: str) -> Tenant:
    lanes = {"main": LaneConfig(from_number="+15005550006")}
    given: dict[str, Any] = {"status_callback_url": "", "inbound_url": f"{url}/twilio/inbound?x=1#rc=5", "lanes": lanes}
    return Tenant(name="acme", account_sid=ACCOUNT, auth_tokens=(TOKEN,), **given)


@pytest.mark.parametrize(("answer", "name", "problem"), ANSWERS)
async def test_what_answers_at_a_public_url_instead_of_the_door_is_found(
    answer: tuple[int, str, bytes], name: Name, problem: str
) -> None:
    hook = WebhookReceiver()
    served = InternalServer(hook, "127.0.0.1", 0)
    hook.url, hook.answers = served.url, [answer, answer]
    await served.listening()
    found = await probe(Settings.read({**KEYS, **NOBODY}), [tenant(hook.url)])
    await served.stop()
    assert [(finding.name, finding.where) for finding in found] == [(name, "inbound_url"), (name, "fallback_url")]
    assert all(problem in finding.problem for finding in found)
    assert [post.path for post in hook.posted] == ["/twilio/inbound?x=1", "/twilio/fallback?x=1"]
    assert all(post.valid for post in hook.posted), "the probe is signed as Twilio signs"


async def test_a_public_url_that_cannot_be_reached_is_found() -> None:
    found = await probe(Settings.read({**KEYS, **NOBODY}), [tenant("http://127.0.0.1:1")])
    assert [finding.name for finding in found] == [Name.PROBE_UNREACHABLE] * 2
    assert mask("+15005550006") not in str(msgspec.to_builtins(found))
