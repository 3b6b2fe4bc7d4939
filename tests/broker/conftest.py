"""What several rooms of the broker tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab import Lab


@pytest.fixture
def lab(kafka: str, tmp_path: Path) -> Iterator[Lab]:
    """Fresh topics and toy workers, gone afterwards."""
    made = Lab(kafka, tmp_path)
    yield made
    made.close()
