"""The real broker: one address for the whole run, given by the environment or started here."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dev.broker import DevBroker, free_port
from tests.support.postgres import Postgres


def pytest_configure() -> None:
    """A SIGTERM ends the run as Ctrl-C does: what the tests started is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    broker = DevBroker(free_port(), Path(tmp_path_factory.mktemp("kafka")))
    yield broker.start()
    broker.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL for the whole run."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.stop()
