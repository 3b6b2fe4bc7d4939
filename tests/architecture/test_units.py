"""The systemd units: read by systemd itself where it is, and held to what the exit codes mean."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app.cli.process.exit_codes import CONFIG, USAGE
from app.config.settings import FIELDS, Settings
from app.dev.process import STOP_S
from tests.support.words import fault

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "ops" / "systemd").glob("*.service"))
BINARY = "/opt/heliograph/bin/heliograph"
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "DynamicUser": "yes",
    "CapabilityBoundingSet": "",
}
# Keys of systemd 254 and newer, which an older one says it passes by.
NEWER = re.compile(r"Unknown key (name )?'(RestartSteps|RestartMaxDelaySec)'")


def service(unit: Path) -> dict[str, list[str]]:
    """Every value of each key of [Service]."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().partition("[Service]")[2].partition("\n[")[0].splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_there_is_a_unit_for_each_process_of_production() -> None:
    names = [
        "heliograph-bridge.service",
        "heliograph-ingress.service",
        "heliograph-read-model.service",
        "heliograph-worker@.service",
    ]
    assert [unit.name for unit in UNITS] == names


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_no_fault_in_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here; the other tests read the units themselves")
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace(BINARY, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True, timeout=60)
    told = [line for line in done.stderr.splitlines() if unit.name.split(".")[0].rstrip("@") in line]
    assert (done.returncode, [line for line in told if not NEWER.search(line)]) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_a_new_start_cannot_mend_is_not_started_again_and_all_else_is_with_growing_waits(unit: Path) -> None:
    given, text = service(unit), unit.read_text()
    assert given["Restart"] == ["on-failure"] and "StartLimitIntervalSec=0" in text
    assert {int(code) for code in given["RestartPreventExitStatus"][0].split()} == {USAGE, CONFIG}
    assert 0 < int(given["RestartSec"][0]) < int(given["RestartMaxDelaySec"][0]) and int(given["RestartSteps"][0]) > 1


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_exists_and_may_do_no_more_than_it_must(unit: Path) -> None:
    given = service(unit)
    [start] = given["ExecStart"]
    assert start.startswith(BINARY + " ") and fault(start.split()[1:]) == ""
    assert {name: given[name][0] for name in HARDENED} == HARDENED


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_environment_of_a_unit_are_settings_and_its_directories_are_its_state(unit: Path) -> None:
    given = [value.replace("%i", "1") for value in service(unit)["Environment"]]
    env = dict(value.split("=", 1) for value in given) | {"PYTHONUNBUFFERED": ""}
    assert set(env) - {field.env for field in FIELDS} == {"PYTHONUNBUFFERED"}
    Settings.read(env)
    state = [f"/var/lib/{name.replace('%i', '1')}" for name in service(unit).get("StateDirectory", [])]
    assert [value for name, value in env.items() if name.endswith("_DIR")] + _stores(env) == state


def _stores(env: dict[str, str]) -> list[str]:
    """Directories of files that are settings."""
    return [str(Path(value).parent) for name, value in env.items() if name.endswith("_STORE")]


def test_workers_of_one_machine_share_neither_data_nor_port() -> None:
    worker = service(UNITS[-1])
    own = [value for value in worker["Environment"] if value.startswith("HELIOGRAPH_")]
    assert len(own) == 2 and [value for value in own if "%i" not in value] == []
    assert int(worker["TimeoutStopSec"][0]) > max(STOP_S, 2 * Settings.read({}).http_timeout_s)


def port(unit: Path, instance: str = "") -> int:
    """Where its health and metrics are served."""
    given = [value.replace("%i", instance) for value in service(unit)["Environment"]]
    settings = Settings.read(dict(value.split("=", 1) for value in given))
    return settings.bridge_port if "bridge" in unit.name else settings.internal_port


def test_prometheus_looks_where_the_units_listen() -> None:
    jobs = yaml.safe_load((ROOT / "ops" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    scraped = {job["job_name"]: [target for one in job["static_configs"] for target in one["targets"]] for job in jobs}
    started = re.search(r"systemctl enable --now heliograph-worker@(\d+)\n", UNITS[-1].read_text())
    assert started is not None
    listens = {unit.stem.rstrip("@"): [f"127.0.0.1:{port(unit, started[1])}"] for unit in UNITS}
    assert scraped == listens


def test_a_worker_listens_on_the_port_that_its_instance_is_named_by() -> None:
    named = re.findall(r"heliograph-worker@(\d+)", UNITS[-1].read_text())
    ports = [port(UNITS[-1], name) for name in named]
    assert len(named) == 3 and [str(one) for one in ports] == named and max(ports) < 65536
    assert not set(ports) & {port(unit) for unit in UNITS[:-1]}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_well_formed(unit: Path) -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(unit.read_text())
    assert parser.sections() == ["Unit", "Service", "Install"]


def test_the_ingress_may_read_the_file_that_the_read_model_writes() -> None:
    ingress, read_model = service(UNITS[1]), service(UNITS[2])
    assert ingress["User"] == read_model["User"] and read_model["StateDirectory"][0] in ingress["StateDirectory"]
