"""What a stand's parts are told by the environment, made from what the environment of its starter holds.

Unless it is live, nothing that could lead to a real Twilio is passed on: no TWILIO_*, no tenants file.
"""

import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec

from app.config.api_key_store import change_entries, read_entries
from app.config.api_keys import ApiKeys, Scope, generate

ACCOUNT = "AC" + "0" * 31 + "1"
SERVICE = "MG" + "0" * 31 + "1"
TOKEN = "simulator-token"  # noqa: S105 - of a simulator on this machine
# By part: keys that it is not told. Each other part writes or reads the contact log.
_BOTH = ("HELIOGRAPH_SEAL_KEYS", "HELIOGRAPH_PSEUDONYM_KEY")
WITHHELD = {"bridge": _BOTH, "simulator": _BOTH, "read-model": _BOTH[:1]}
SETTINGS = ("TWILIO_", "HELIOGRAPH_", "KAFKA_")


def bare(outside: Mapping[str, str]) -> dict[str, str]:
    """Without any setting of ours or Twilio's: for runs that must not depend on who starts them. Kafka's stay."""
    dropped = ("TWILIO_", "HELIOGRAPH_")
    return {k: v for k, v in outside.items() if k == "HELIOGRAPH_CACHE" or not (k.startswith(dropped) or k == "PORT")}


def passed_on(outside: Mapping[str, str], *, live: bool) -> dict[str, str]:
    """What the parts may see of the starter's environment."""
    if live:
        return dict(outside)
    return {k: v for k, v in outside.items() if not k.startswith("TWILIO_") and k not in ("HELIOGRAPH_CONFIG", "PORT")}


def simulated(ingress_port: int, simulator_port: int) -> dict[str, str]:
    """TWILIO_* that lead to the stand's own simulator and back."""
    public = f"http://127.0.0.1:{ingress_port}/twilio"
    return {
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
        "TWILIO_API_BASE_URL": f"http://127.0.0.1:{simulator_port}",
        "TWILIO_STATUS_CALLBACK_URL": f"{public}/status",
        "TWILIO_INBOUND_WEBHOOK_PUBLIC_URL": f"{public}/inbound",
    }


def told_to(part: str, env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a part, without the keys that it has no use for."""
    withheld = WITHHELD.get(part, ())
    return {k: v for k, v in env.items() if k.removesuffix("_FILE") not in withheld}


def keep(path: Path, env: Mapping[str, str], api_key: str) -> None:
    """What the parts were told, for other commands, and API_KEY for curl: a file that a shell reads, for its owner
    alone."""
    names = sorted(name for name, value in env.items() if name.startswith(SETTINGS) and value)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}={shlex.quote(env[name])}\n" for name in names)
        file.write(f"API_KEY={shlex.quote(api_key)}\n")


def keys(path: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Keys that `given` holds neither directly nor as NAME_FILE: made once, kept at `path` for its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = {
            "HELIOGRAPH_PSEUDONYM_KEY": secrets.token_hex(32),
            "HELIOGRAPH_SEAL_KEYS": f"dev1:{secrets.token_hex(32)}",
        }
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(made))
    kept = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    return {name: key for name, key in kept.items() if not given.get(name) and not given.get(f"{name}_FILE")}


def api_key(directory: Path, store: Path) -> str:
    """A key of tenant `default` for /v1 with every scope: made once, kept in `directory` for its owner alone, its hash
    in `store`."""
    kept = directory / "api-key"
    key = kept.read_text().strip() if kept.exists() else ""
    if ApiKeys(read_entries(store)).find(key) is None:
        entry, made = generate("default", Scope, name="dev")
        change_entries(store, lambda entries: (*entries, entry))
        key = made.reveal()
        kept.unlink(missing_ok=True)
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{key}\n")
    return key
