"""Every test of the tables runs on both databases."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.read_model.tables import database_url, open_engine, prepare_tables


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> sa.URL:
    """An empty database."""
    if request.param == "sqlite":
        return database_url("", tmp_path / "rows")
    return database_url(request.getfixturevalue("postgres").url(f"t{uuid.uuid4().hex[:8]}"), tmp_path)


@pytest.fixture
def engine(url: sa.URL) -> Iterator[sa.Engine]:
    """With its tables."""
    made = open_engine(url)
    prepare_tables(made)
    yield made
    made.dispose()
