"""The database of the read model, for the processes that write and read it."""

from typing import TYPE_CHECKING

from app.cli.process.exit_codes import give_up
from app.config.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa


def engine_or_exit(settings: Settings, statement_s: float = 0.0, *, read_only: bool = False) -> "sa.Engine":
    """An engine that connects when first used (see `open_engine`); exit 2 if HELIOGRAPH_DATABASE_URL is no URL."""
    from app.read_model.tables import database_url, open_engine

    try:
        url = database_url(settings.database_url.reveal(), settings.read_model_dir)
    except ValueError as fault:
        give_up(f"HELIOGRAPH_DATABASE_URL: {fault}")
    return open_engine(url, statement_s, read_only=read_only)
