"""The real broker: one address for the whole run, given by the environment or started here."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dev.broker import DevBroker, free_port
from tests.support.postgres import Postgres

LONGEST_FIRST = ("tests/chaos/test_run", "tests/broker/test_set_aside", "tests/broker/test_replay", "tests/broker/", "")


def pytest_configure() -> None:
    """A SIGTERM ends the run as Ctrl-C does: what the tests started is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, then what waits for Kafka: files are handed out in this order, and none is waited for alone."""
    items.sort(key=lambda item: next(n for n, room in enumerate(LONGEST_FIRST) if item.nodeid.startswith(room)))


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
