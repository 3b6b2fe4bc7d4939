"""`heliograph read-model`: notify.updates and notify.outcomes projected into SQL, for GET /v1/messages."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from app import clock, telemetry
from app.cli.options.plural import plural
from app.cli.options.ports import PORT
from app.cli.output import say, say_json
from app.cli.process.exit_codes import CONFIG, FAULT, give_up
from app.cli.process.runner import until_signal
from app.cli.process.start import running, settings_or_exit
from app.cli.queries.read_model_database import engine_or_exit
from app.config.settings import Settings
from app.kafka.client import client_settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from app.internal_server import InternalServer
    from app.read_model.projection import Projection


@click.group("read-model")
def command() -> None:
    """States of messages in SQL, for the API."""


@command.command("run")
@click.option("--port", type=PORT, default=None, help="Default: HELIOGRAPH_READ_MODEL_PORT; 0: any free port.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def run(port: int | None, as_json: bool) -> None:
    """Project notify.updates and notify.outcomes.

    The database is an SQLite file in HELIOGRAPH_READ_MODEL_DIR, or what HELIOGRAPH_DATABASE_URL names. One process
    writes; a second one ends.

    \b
    Examples:
      heliograph read-model run
      heliograph read-model run --port 9099
    """
    settings = _settings()
    with running(settings), _reaching_database(settings) as engine:
        asyncio.run(_run(settings, engine, settings.read_model_port if port is None else port, as_json))


@command.command("rebuild")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rebuild(as_json: bool) -> None:
    """Make all rows again from the topics.

    From the oldest records that retention still holds, beside the rows that are read meanwhile; then the new ones take
    their place, for a writer that runs too. What is older than those records is not known any more.

    \b
    Example:
      heliograph read-model rebuild
    """
    settings = _settings()
    with running(settings), _reaching_database(settings) as engine:
        projected, since_ms = asyncio.run(_rebuild(settings, engine))
    since = clock.iso(since_ms) if since_ms else None
    if as_json:
        say_json({"records": projected, "since": since})
    else:
        say(f"rebuilt from {plural(projected, 'record', 'records')}" + (f", since {since}" if since else ""))


def _settings() -> Settings:
    settings, _ = settings_or_exit(dict(os.environ))
    if not settings.pseudonym_key:
        give_up("HELIOGRAPH_PSEUDONYM_KEY: is required")
    telemetry.configure(settings.log_level)
    return settings


@contextmanager
def _reaching_database(settings: Settings) -> Iterator["sa.Engine"]:
    """Around all that writes: says why the database cannot be used, without anything of its URL or of a statement."""
    import sqlalchemy as sa

    from app.read_model.store import OtherWriterError
    from app.read_model.tables import SchemaError, prepare_tables

    try:
        engine = engine_or_exit(settings)
        prepare_tables(engine)
        yield engine
    except SchemaError as fault:
        give_up(str(fault), code=CONFIG)
    except OtherWriterError as fault:
        give_up(f"another process writes this read model ({fault})", code=FAULT)
    except (sa.exc.SQLAlchemyError, OSError) as fault:
        give_up(f"the database of the read model cannot be used ({type(fault).__name__})", code=FAULT)


def _projection(settings: Settings, engine: "sa.Engine", generation: int) -> "Projection":
    from app.read_model.projection import Projection
    from app.read_model.store import Store
    from app.records.topics import Topics

    names = Topics(settings.topic_prefix, settings.group)
    store, topics = Store(engine, generation), (names.updates, names.outcomes)
    keep_ms = int(names.all["notify.outcomes"].config["retention.ms"])
    return Projection(topics, client_settings(settings), store, settings.pseudonym_key, keep_ms)


async def _run(settings: Settings, engine: "sa.Engine", port: int, as_json: bool) -> None:
    """Until a signal comes. Raises what ended the projection."""
    from app.read_model.tables import check_schema

    with engine.connect() as connection:
        generation = check_schema(connection)
    projection = _projection(settings, engine, generation)
    try:
        await _started(settings, projection)
        served = _page(projection, settings.internal_host, port)
        await served.listening()
        _say_ready(served.url, as_json)
        try:
            await until_signal(projection.run())
        finally:
            await served.stop()
    finally:
        await projection.stop()


async def _started(settings: Settings, projection: "Projection") -> None:
    from app.kafka.cluster_check import require_rights, require_topics
    from app.records.topics import Topics

    await require_rights(client_settings(settings), Topics(settings.topic_prefix, settings.group), "read-model")
    await require_topics(client_settings(settings), projection.topics)
    await projection.start()


def _page(projection: "Projection", host: str, port: int) -> "InternalServer":
    from prometheus_client import CollectorRegistry, ProcessCollector

    from app.internal_server import InternalServer, internal_app
    from app.read_model.collector import ProjectionCollector

    registry = CollectorRegistry()
    registry.register(ProjectionCollector(projection))
    ProcessCollector(registry=registry)
    return InternalServer(internal_app(projection.alive, lambda: "", registry), host, port)


def _say_ready(url: str, as_json: bool) -> None:
    ready = {"read_model": url, "internal": url, "pid": os.getpid()}
    say_json(ready) if as_json else say(f"read model runs, health on {url}")


async def _rebuild(settings: Settings, engine: "sa.Engine") -> tuple[int, int]:
    """How many records, and the log time of the oldest, ms."""
    from app.read_model.tables import check_schema

    with engine.connect() as connection:
        generation = check_schema(connection) + 1
    projection = _projection(settings, engine, generation)
    projection.store.discard()
    try:
        await _started(settings, projection)
        await projection.read_to_end()
        projection.store.publish(clock.now_ms(), projection.oldest_ms)
    finally:
        await projection.stop()
    return projection.projected, projection.oldest_ms
