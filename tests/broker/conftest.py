"""What several rooms of the broker tests share."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine_lab import EngineLab


@pytest.fixture
def lab(kafka: str, tmp_path: Path) -> Iterator[EngineLab]:
    """Fresh topics and toy workers, gone afterwards."""
    made = EngineLab(kafka, tmp_path)
    yield made
    made.close()


@pytest.fixture
def one_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No other test has an `up` meanwhile: it takes its usual ports where they are free as it looks."""
    with (tmp_path_factory.getbasetemp().parent / "up.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
