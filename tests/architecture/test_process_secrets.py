"""Which process is told which key: under systemd, in containers and by `up`."""

import re
from pathlib import Path

import pytest
import yaml

from app.config.settings import FIELDS
from app.dev.process_env import told_to

ROOT = Path(__file__).parents[2]
SEAL, PSEUDONYM = "HELIOGRAPH_SEAL_KEYS", "HELIOGRAPH_PSEUDONYM_KEY"
NEEDED = {
    "ingress": {SEAL, PSEUDONYM},
    "worker": {SEAL, PSEUDONYM},
    "read-model": {PSEUDONYM},
    "bridge": set(),
    "topics": set(),
    "simulator": set(),
}
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SECRETS = {field.env for field in FIELDS if field.secret}
UNITS = {unit.stem.removeprefix("heliograph-").rstrip("@"): unit for unit in (ROOT / "ops/systemd").glob("*.service")}


def keys(names: set[str]) -> set[str]:
    return {name.removesuffix("_FILE") for name in names} & {SEAL, PSEUDONYM}


@pytest.mark.parametrize("name", NEEDED)
def test_a_container_has_the_keys_it_needs_and_no_other(name: str) -> None:
    given = SERVICES[name].get("environment", {})
    assert keys(set(given)) == NEEDED[name]


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_keeps_no_key_that_it_does_not_need_from_the_common_file(name: str) -> None:
    unset = set(" ".join(re.findall("^UnsetEnvironment=(.+)$", UNITS[name].read_text(), re.MULTILINE)).split())
    common = {SEAL, PSEUDONYM, f"{SEAL}_FILE", f"{PSEUDONYM}_FILE"}
    assert keys(common - unset) == NEEDED[name] and {one.removesuffix("_FILE") for one in unset} <= SECRETS


@pytest.mark.parametrize("name", UNITS)
def test_only_who_calls_twilio_or_verifies_its_signatures_has_its_secrets(name: str) -> None:
    unset = set(" ".join(re.findall("^UnsetEnvironment=(.+)$", UNITS[name].read_text(), re.MULTILINE)).split())
    twilio = {"TWILIO_AUTH_TOKEN", "TWILIO_API_KEY_SECRET"}
    held = {one for one in twilio if not {one, f"{one}_FILE"} <= unset}
    assert held == (twilio if name in ("ingress", "worker") else set())


@pytest.mark.parametrize("end", ["", "_FILE"])
@pytest.mark.parametrize("name", sorted(set(NEEDED) - {"topics"}))
def test_up_tells_a_part_the_keys_it_needs_and_no_other(name: str, end: str) -> None:
    told = told_to("worker-1" if name == "worker" else name, {SEAL + end: "a", PSEUDONYM + end: "b", "PORT": "1"})
    assert keys(set(told)) == NEEDED[name] and told["PORT"] == "1"
