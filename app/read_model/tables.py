"""The tables, and the engine of the database that holds them: SQLite, or PostgreSQL by HELIOGRAPH_DATABASE_URL.

`heliograph_read_model` says which schema the tables have and which generation of rows is read: `rebuild` writes a new
generation beside the old one, and the change from one to the other is one statement.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

from app.errors import HeliographError

SCHEMA_VERSION = 1
# Seconds: to reach a database; for a writer, to wait for the lock of SQLite's one writer.
CONNECT_S, LOCK_S = 5, 30

metadata = sa.MetaData()
read_models = sa.Table(
    "heliograph_read_model",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # there is one row, 1
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("caught_up_ms", sa.BigInteger, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
)
offsets = sa.Table(
    "heliograph_offsets",
    metadata,
    sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("topic", sa.String(249), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
)
messages = sa.Table(
    "heliograph_messages",
    metadata,
    # First in every index what tells rows apart: PostgreSQL without statistics takes an index for its first columns.
    sa.Column("message_id", sa.String(41), primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.String(200), nullable=False),
    sa.Column("key_hash", sa.String(32), nullable=False),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("masked", sa.String(120), nullable=False),
    sa.Column("stage", sa.String(40), nullable=False),
    sa.Column("stage_reason", sa.String(200), nullable=False),
    sa.Column("stage_ms", sa.BigInteger, nullable=False),
    sa.Column("opened_ms", sa.BigInteger, nullable=False),
    sa.Column("update_offset", sa.BigInteger, nullable=False),
    sa.Column("update_index", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(40), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("error_code", sa.BigInteger),
    sa.Column("possible_duplicate", sa.Boolean, nullable=False),
    sa.Column("requested_at", sa.String(40), nullable=False),
    sa.Column("final_at", sa.String(40), nullable=False),
    sa.Column("times", sa.Text, nullable=False),
    sa.Column("final_attempts", sa.Text, nullable=False),
    sa.Column("changed_ms", sa.BigInteger, nullable=False),
    sa.Index("heliograph_messages_by_key", "key_hash"),
    sa.Index("heliograph_messages_by_time", "changed_ms"),
)


_COUNT = sa.select(sa.func.count()).select_from(read_models)


class SchemaError(HeliographError):
    """The database has tables that this build does not know; the text says what to do."""


def database_url(given: str, directory: Path) -> sa.URL:
    """The database that the settings name: `given`, or the SQLite file in `directory` where that is empty.

    Raises ValueError for what is no URL; the text holds nothing of it, for it may hold a password.
    """
    if not given:
        return sa.URL.create("sqlite", database=str(directory / "read-model.sqlite"))
    try:
        url = sa.make_url(given)
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError("must be a URL such as postgresql://user:password@host/database") from None
    if url.get_backend_name() == "sqlite" and not url.database:
        raise ValueError("must name a file: sqlite:////var/lib/heliograph/read-model.sqlite")
    return url if url.get_backend_name() == "sqlite" else url.set(drivername="postgresql+psycopg")


def open_engine(url: sa.URL, statement_s: float = 0.0, *, read_only: bool = False) -> sa.Engine:
    """An engine; it connects when first used. `statement_s`: the longest time of one statement and, in SQLite, of a
    wait for its lock; 0: no limit. `read_only`: never makes a file, never writes."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, statement_s or LOCK_S, read_only)
    options = (
        f"-c statement_timeout={int(statement_s * 1000)} -c default_transaction_read_only={'on' * read_only or 'off'}"
    )
    arguments = {"connect_timeout": CONNECT_S, "options": options, "application_name": "heliograph"}
    return sa.create_engine(
        url, connect_args=arguments, pool_size=4, max_overflow=0, pool_timeout=1, pool_pre_ping=True
    )


def _sqlite(url: sa.URL, lock_s: float, read_only: bool) -> sa.Engine:
    path = Path(str(url.database)).absolute()
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Not mode=ro: a reader of a write-ahead log must be able to make the shared memory file beside it.
    named = sa.URL.create(
        "sqlite", database=f"file:{path}", query={"mode": "rw" if read_only else "rwc", "uri": "true"}
    )
    # A reader that kept its connection would go on in a file that was deleted and made anew.
    pool = sa.NullPool if read_only else sa.QueuePool
    engine = sa.create_engine(named, connect_args={"timeout": lock_s, "check_same_thread": False}, poolclass=pool)

    def prepare(connection: object, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined] # a DB-API connection
        for pragma in ("query_only=ON",) if read_only else ("journal_mode=WAL", "synchronous=FULL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    sa.event.listen(engine, "connect", prepare)
    return engine


def prepare_tables(engine: sa.Engine) -> None:
    """Make the tables where there are none. Raises SchemaError where there are others than this build knows."""
    with engine.begin() as connection:
        if sa.inspect(connection).has_table(read_models.name) and connection.scalar(_COUNT):
            check_schema(connection)
            return
        metadata.create_all(connection)
        first = {"id": 1, "schema_version": SCHEMA_VERSION, "generation": 1, "caught_up_ms": 0, "since_ms": 0}
        connection.execute(read_models.insert(), first)


def check_schema(connection: sa.Connection) -> int:
    """The generation that is read now. Raises SchemaError for a schema version that this build does not know."""
    row = connection.execute(sa.select(read_models.c.schema_version, read_models.c.generation)).one()
    if row.schema_version != SCHEMA_VERSION:
        raise SchemaError(
            f"the read model has schema version {row.schema_version}, this build knows {SCHEMA_VERSION}: "
            f"drop its tables {', '.join(metadata.tables)}; they are made again from Kafka"
        )
    return int(row.generation)
