"""docker-compose.yml and the image: what they say exists, is pinned, holds no secret and leads only to the simulator."""

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.settings import FIELDS, Settings
from app.dev.compose_broker import FILE
from app.dev.process import STOP_S
from tests.support.words import fault

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("heliograph:")}
DOCKERFILE = (ROOT / "ops" / "docker" / "Dockerfile").read_text()
SETTINGS = {field.env for field in FIELDS} | {f"{field.env}_FILE" for field in FIELDS if field.secret}
KEYS = {"HELIOGRAPH_PSEUDONYM_KEY": "11" * 32, "HELIOGRAPH_SEAL_KEYS": "k1:" + "22" * 32}


def environment(service: str) -> dict[str, str]:
    """With what compose fills in for variables that nobody set."""
    given = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for name, value in given.items()}


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_the_stack_is_whole_and_is_the_one_that_the_dev_broker_uses() -> None:
    assert set(SERVICES) == {
        "kafka", "topics", "simulator", "ingress", "worker", "bridge", "read-model", "prometheus", "grafana",
    }  # fmt: skip
    assert (
        set(OURS) == {"topics", "simulator", "ingress", "worker", "bridge", "read-model"}
        and FILE == ROOT / "docker-compose.yml"
    )


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_ours_and_every_name_in_its_environment_a_setting(name: str) -> None:
    assert fault(OURS[name]["command"]) == ""
    assert set(environment(name)) <= SETTINGS


@pytest.mark.parametrize("name", sorted(set(OURS) - {"simulator"}))
def test_the_settings_of_a_service_are_without_fault_and_lead_to_the_simulator_alone(name: str) -> None:
    settings = Settings.read(environment(name) | KEYS)
    assert (settings.kafka, settings.api_base_url) == ("kafka:9092", "http://simulator:4010")
    assert settings.status_callback_url.startswith("http://ingress:8080/twilio/")
    assert "env_file" not in OURS[name]


def test_no_secret_stands_in_the_file() -> None:
    secrets = {field.env for field in FIELDS if field.secret} - {"TWILIO_AUTH_TOKEN"}
    held = {name: env for name in OURS for env, value in environment(name).items() if env in secrets and value}
    assert held == {}
    assert {environment(n)["TWILIO_AUTH_TOKEN"] for n in OURS} == {"simulator-token"}
    assert not re.search(r"\b(?!0+1?\b)[0-9a-f]{24,}\b", (ROOT / "docker-compose.yml").read_text())


def test_every_image_is_pinned_and_the_broker_is_that_of_the_tests() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert [image for image in images.values() if not re.search(r":v?\d+\.\d+\.\d+$", image)] == []
    pom = (ROOT / "ops" / "kafka" / "pom.xml").read_text()
    assert images["kafka"] == "apache/kafka:" + re.findall(r"<kafka.version>(.+)</kafka.version>", pom)[0]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert images["worker"] == f"heliograph:{version}" and f"--tag heliograph:{version}" in DOCKERFILE


def test_what_is_mounted_is_there() -> None:
    mounts = [v.split(":")[0] for service in SERVICES.values() for v in service.get("volumes", [])]
    binds = {mount for mount in mounts if mount.startswith(".")}
    # Boards and rules have tests of their own.
    known = ("./ops/prometheus", "./ops/grafana/provisioning", "./ops/grafana/dashboards")
    assert [bind for bind in binds if bind not in known and not (ROOT / bind).exists()] == []
    assert set(known) <= binds and {m for m in mounts if not m.startswith(".")} == set(COMPOSE["volumes"])


def test_who_waits_for_a_healthy_service_waits_for_one_that_says_so() -> None:
    conditions = [
        (other, how["condition"])
        for service in SERVICES.values()
        for other, how in service.get("depends_on", {}).items()
    ]
    assert {how for _, how in conditions} == {"service_healthy", "service_completed_successfully"}
    assert [o for o, how in conditions if how == "service_healthy" and "test" not in SERVICES[o]["healthcheck"]] == []
    assert {o for o, how in conditions if how == "service_completed_successfully"} == {"topics"}


def test_a_worker_has_longer_to_stop_than_a_stand_gives_it_and_data_of_its_own() -> None:
    worker = OURS["worker"]
    http_s = Settings.read({}).http_timeout_s
    assert seconds(worker["stop_grace_period"]) > max(STOP_S, 2 * http_s)
    assert worker["command"] == ["worker", "--supervised"] and worker["restart"] == "no"
    assert worker["volumes"] == ["worker-data:/var/lib/heliograph/worker"]


def test_ports_are_of_this_machine_alone_and_told_at_the_top() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    head = (ROOT / "docker-compose.yml").read_text().partition("x-heliograph")[0]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert [port for port in ports if port.rpartition(":")[2] not in head] == []


def test_prometheus_looks_where_the_processes_listen_and_has_the_same_jobs_as_without_containers() -> None:
    ours = yaml.safe_load((ROOT / "ops" / "docker" / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in ours["scrape_configs"]}
    ports = {name: Settings.read(environment(name) | KEYS) for name in ("ingress", "worker", "bridge", "read-model")}
    assert targets == {
        "heliograph-ingress": [f"ingress:{ports['ingress'].internal_port}"],
        "heliograph-worker": [f"worker:{ports['worker'].internal_port}"],
        "heliograph-bridge": [f"bridge:{ports['bridge'].bridge_port}"],
        "heliograph-read-model": [f"read-model:{ports['read-model'].read_model_port}"],
    }
    assert {settings.internal_host for settings in ports.values()} == {"0.0.0.0"}


def test_the_image_copies_what_exists_and_what_its_ignore_file_lets_through() -> None:
    sources = [w for line in re.findall(r"^COPY (?!--)(.+)$", DOCKERFILE, re.MULTILINE) for w in line.split()[:-1]]
    allowed = (ROOT / "ops" / "docker" / "Dockerfile.dockerignore").read_text()
    assert sources and [source for source in sources if not (ROOT / source).exists()] == []
    assert [s for s in sources if f"!{s}\n" not in allowed and f"!{Path(s).parent}\n" not in allowed] == []


def test_the_image_installs_by_hash_runs_without_root_and_keeps_no_build_tools() -> None:
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["python:3.11-slim"] * 2
    installs = re.findall(r"pip install [^\n]*", DOCKERFILE)
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "/opt/build" not in final and "pip install" not in final and "apt-get" not in final
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["heliograph"]
    assert (
        'ENTRYPOINT ["heliograph"]' in final
        and "--require-hashes --only-binary :all: -r ops/locks/runtime.lock" in DOCKERFILE
    )


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_of_the_image_asks_the_internal_port(status: int, code: int) -> None:
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    words = json.loads(re.findall(r"^  CMD (\[\"python\".+\])$", DOCKERFILE, re.MULTILINE)[0])
    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        env = {"HELIOGRAPH_INTERNAL_PORT": str(server.server_port)}
        done = subprocess.run([sys.executable, *words[1:]], env=env, capture_output=True, timeout=30)
        server.shutdown()
        thread.join()
    assert done.returncode == code, done.stderr


def test_docker_compose_itself_reads_the_file() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("there is no docker compose here")
    command = ["docker", "compose", "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
