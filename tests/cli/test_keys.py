"""`heliograph keys api`, and an ingress that reads what it wrote."""

import json
import os
import signal
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from app.config.api_key_store import change_entries
from app.config.api_keys import ApiKey
from app.dev.broker import free_port
from app.dev.process import ChildProcess
from tests.support.commands import KEYS, faults, heliograph
from tests.support.engine_lab import until
from tests.support.keyring import ACME_KEY, BETA_KEY, api_key, key_of, store_of

TENANTS = '[tenants.acme.lanes.x]\nfrom_number = "+15005550006"\n[tenants.beta.lanes.x]\nfrom_number = "+15005550006"\n'


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tenants.toml").write_text(TENANTS)
    return {
        **KEYS,
        "HELIOGRAPH_CONFIG": str(tmp_path / "tenants.toml"),
        "HELIOGRAPH_API_KEY_STORE": str(tmp_path / "keys.json"),
        "HELIOGRAPH_SPOOL_DIR": str(tmp_path / "spool"),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
    }


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(env: dict[str, str], tmp_path: Path) -> None:
    made = heliograph(
        *[
            "keys",
            "api",
            "create",
            "--tenant",
            "acme",
            "--name",
            "ci",
            "--scope",
            "send",
            "--scope",
            "read",
            "--expires",
            "90d",
        ],
        **env,
    )
    key = made.stdout.strip()
    key_id, secret = key.split("_")[1:]
    assert made.returncode == 0 and secret not in made.stderr and secret not in (tmp_path / "keys.json").read_text()
    listed = heliograph("keys", "api", "list", **env).stdout
    assert listed.startswith(f"{key_id}  live     acme ci: read, send, until 2") and secret not in listed
    assert heliograph("keys", "api", "list", "--tenant", "beta", **env).stdout == ""
    revoked = [json.loads(heliograph("keys", "api", "revoke", key_id, "--json", **env).stdout) for _ in range(2)]
    assert revoked[0]["state"] == "revoked" and revoked[0] == revoked[1] and "sha256" not in revoked[0]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("create --scope send", 2, "--tenant: is required, one of acme, beta"),
        ("create --tenant acme", 2, "Missing option '--scope'"),
        ("create --tenant acme --scope all", 2, "'all' is not one of 'send', 'cancel', 'read', 'consent', 'admin'"),
        ("create --tenant acme --scope send --expires 2020-01-01T00:00:00Z", 2, "must lie ahead"),
        ("create --tenant acme --scope send --expires soon", 2, "or days from now (90d)"),
        ("create --tenant acme --scope send --name a;b", 2, "must be at most 64 letters"),
        ("revoke aaaaaaaaaa", 1, "KEY_ID: there is no key aaaaaaaaaa"),
    ],
)
def test_what_cannot_be_done_is_said_and_writes_nothing(
    env: dict[str, str], tmp_path: Path, words: str, code: int, told: str
) -> None:
    done = heliograph("keys", "api", *words.split(), **env)
    assert done.returncode == code and told in done.stderr and not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize("command", ["ingress --port 0", "config check"])
def test_two_tenants_with_one_key_are_refused_at_start(env: dict[str, str], tmp_path: Path, command: str) -> None:
    """A key could be in the store twice only by hand."""
    store_of(tmp_path / "keys.json", api_key(ACME_KEY, "acme"), api_key(ACME_KEY, "beta", key_id="b" * 10))
    done = heliograph(*command.split(), **env)
    assert done.returncode == 2
    same = f"{ACME_KEY.split('_')[1]}, {'b' * 10}: have the same hash; revoke them and create new keys"
    assert f"HELIOGRAPH_API_KEY_STORE: {tmp_path / 'keys.json'}: {same}" in faults(done)


@pytest.mark.parametrize("name", ["HELIOGRAPH_API_KEYS", "HELIOGRAPH_API_KEYS_FILE"])
def test_plain_keys_in_the_environment_are_refused_with_the_command_to_use(env: dict[str, str], name: str) -> None:
    done = heliograph("ingress", **env, **{name: "a"})
    rule = "plain API keys are not accepted: make each by heliograph keys api create, and take this out"
    assert (done.returncode, faults(done)) == (2, [f"{name}: {rule}"])


def test_plain_keys_in_the_tenants_file_are_refused_too(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tenants.toml").write_text('[tenants.acme]\napi_keys = ["a"]\n' + TENANTS)
    [fault] = faults(heliograph("ingress", **env))
    assert "tenants.acme.api_keys: plain API keys are not accepted" in fault


def test_an_ingress_reads_the_store_again_at_sighup_and_keeps_what_it_has_from_a_broken_one(
    env: dict[str, str], tmp_path: Path
) -> None:
    env |= {"PATH": os.environ["PATH"]}
    part = ChildProcess("ingress", ["ingress", "--port", "0", "--internal-port", "0"], env, tmp_path / "log")
    part.start()
    try:
        url = f"{part.wait()['ingress']}/v1/messages/{'0' * 20}-{'0' * 20}"
        key = heliograph(*["keys", "api", "create", "--tenant", "acme", "--scope", "cancel"], **env).stdout.strip()

        def status() -> int:
            return httpx.delete(url, headers={"Authorization": f"Bearer {key}"}).status_code

        told = "warning: no API key exists: heliograph keys api create"
        assert told in (tmp_path / "log").read_text() and status() == 401
        part.signal(signal.SIGHUP)
        until(lambda: status() == 202)
        (tmp_path / "keys.json").write_text("{")
        part.signal(signal.SIGHUP)
        until(lambda: "settings.not_read_again" in (tmp_path / "log").read_text())
        assert status() == 202
    finally:
        part.stop()


def test_a_revocation_is_applied_beside_a_fault_and_the_ingress_is_degraded_until_a_reload_succeeds(
    env: dict[str, str], tmp_path: Path
) -> None:
    store = tmp_path / "keys.json"
    stale, acme, beta = api_key(key_of("gone"), "gone"), api_key(ACME_KEY, "acme"), api_key(BETA_KEY, "beta")
    store_of(store, stale, acme, beta)
    part = ChildProcess(
        "ingress",
        ["ingress", "--port", "0", "--internal-port", "0"],
        env | {"PATH": os.environ["PATH"]},
        tmp_path / "log",
    )
    part.start()
    try:
        ready = part.wait()

        def answered(key: str) -> int:
            url = f"{ready['ingress']}/v1/messages/{'0' * 20}-{'0' * 20}"
            return httpx.delete(url, headers={"Authorization": f"Bearer {key}"}).status_code

        def reload(*entries: ApiKey) -> httpx.Response:
            change_entries(store, lambda _: entries)
            before = (tmp_path / "log").read_text().count("read_again")
            part.signal(signal.SIGHUP)
            until(lambda: (tmp_path / "log").read_text().count("read_again") > before)
            return httpx.get(f"{ready['internal']}/readyz")

        left_out = f"key {stale.key_id} is left out: there is no tenant gone"
        assert left_out in (tmp_path / "log").read_text()
        assert [answered(key) for key in (ACME_KEY, BETA_KEY, key_of("gone"))] == [202, 202, 401]
        twice = reload(stale, stale, replace(acme, revoked_at=acme.created_at), beta)
        assert (twice.status_code, "degraded: settings not read again since 20" in twice.text) == (200, True)
        assert f"{stale.key_id}, {stale.key_id}: have the same key id" in twice.text
        assert [answered(key) for key in (ACME_KEY, BETA_KEY)] == [401, 202]
        assert "settings not read again" not in reload(stale, acme, beta).text and answered(ACME_KEY) == 202
        (tmp_path / "tenants.toml").write_text("[")
        assert "settings not read again" in reload(acme, replace(beta, revoked_at=beta.created_at)).text
        assert [answered(key) for key in (ACME_KEY, BETA_KEY)] == [202, 401]
    finally:
        part.stop()


def test_a_store_that_others_may_write_is_refused_at_start(env: dict[str, str], tmp_path: Path) -> None:
    Path(store_of(tmp_path / "keys.json", api_key(ACME_KEY, "acme"))).chmod(0o620)
    done = heliograph("ingress", "--port", "0", **env)
    told = "has mode 620, group or others may write it: chmod go-w"
    assert (done.returncode, faults(done)) == (2, [f"HELIOGRAPH_API_KEY_STORE: {tmp_path / 'keys.json'}: {told}"])


def test_config_check_warns_of_a_key_whose_tenant_is_gone(env: dict[str, str], tmp_path: Path) -> None:
    store_of(tmp_path / "keys.json", api_key(ACME_KEY, "gone"))
    found = json.loads(heliograph("config", "check", "--json", **env).stdout)
    assert [line for line in found["warnings"] if "there is no tenant gone" in line] and found["faults"] == []
