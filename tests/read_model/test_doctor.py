"""What `heliograph doctor` says of the read model: a warning where answers are old or missing, and never a problem."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import clock
from app.cli.queries.read_model_check import read_model_finding
from app.config.settings import Settings
from app.read_model.store import Store
from app.read_model.tables import metadata, read_models


def warned(url: str, path: Path) -> str:
    """Its warning, "" if there is none."""
    settings = Settings.read({"HELIOGRAPH_DATABASE_URL": url, "HELIOGRAPH_READ_MODEL_DIR": str(path)})
    found = asyncio.run(read_model_finding(settings))
    assert found["problem"] == ""
    return found.get("warning", "")


@pytest.fixture
def given(url: sa.URL) -> str:
    """As HELIOGRAPH_DATABASE_URL names it."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)


def test_one_that_has_caught_up_gives_no_warning(given: str, engine: sa.Engine, tmp_path: Path) -> None:
    Store(engine, 1).caught_up(clock.now_ms())
    assert warned(given, tmp_path) == ""


def test_one_that_is_behind_is_a_warning_with_the_time(given: str, engine: sa.Engine, tmp_path: Path) -> None:
    assert warned(given, tmp_path).startswith("the read model has not caught up yet; ")
    Store(engine, 1).caught_up(1_000_000)
    assert warned(given, tmp_path).startswith("the read model is behind since 1970-01-01T00:16:40")


def test_one_that_cannot_be_read_is_a_warning(given: str, engine: sa.Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(read_models.update().values(schema_version=7))
    assert "schema version 7" in warned(given, tmp_path)
    metadata.drop_all(engine)
    assert warned(given, tmp_path).startswith("the read model cannot be read (")


def test_without_a_database_on_this_machine_nothing_is_said_and_no_file_is_made(tmp_path: Path) -> None:
    assert warned("", tmp_path / "none") == ""
    assert not (tmp_path / "none").exists()
    assert warned(f"sqlite:///{tmp_path}/none/file.sqlite", tmp_path) != ""
