"""A real Prometheus on loopback, asked over its API."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pytest
import yaml

from app.dev.broker import free_port
from tests.support.board import PROMETHEUS, RULES
from tests.support.engine_lab import until


class Prometheus:
    """`query` gives the samples of an expression; an error of Prometheus is an AssertionError with its words."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **given: str) -> Any:
        try:
            with urlopen(f"{self._url}/api/v1/{path}?{urlencode(given)}") as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            raise AssertionError(f"{given}: {error.read().decode()}") from None

    def query(self, expr: str) -> list[dict[str, Any]]:
        return self.ask("query", query=expr)["result"]

    def ready(self) -> bool:
        try:
            return urlopen(f"{self._url}/-/ready").status == 200
        except (URLError, ConnectionError):
            return False


@contextmanager
def running(path: Path, targets: dict[str, list[str]]) -> Iterator[Prometheus]:
    """Our configuration, looking every second at the targets given by job."""
    if not (program := shutil.which("prometheus")):
        pytest.skip("prometheus is not installed (Debian: apt-get install prometheus)")
    config = yaml.safe_load(PROMETHEUS.read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [urlsplit(url).netloc for url in targets[job["job_name"]]]}]
    (path / "prometheus.yml").write_text(yaml.safe_dump(config))
    listen = f"127.0.0.1:{free_port()}"
    options = [f"--config.file={path}/prometheus.yml", f"--storage.tsdb.path={path}/data", "--log.level=warn"]
    with (path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *options, f"--web.listen-address={listen}"], stdout=log, stderr=log)
    try:
        made = Prometheus(f"http://{listen}")
        until(lambda: process.poll() is not None or made.ready())
        assert process.poll() is None, (path / "prometheus.log").read_text()
        yield made
    finally:
        process.terminate()
        process.wait(20)
