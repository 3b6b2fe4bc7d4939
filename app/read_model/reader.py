"""Reads message states for a process with an event loop, from a small thread pool.

Each query has a short timeout, and none is sent while the last health check of the database failed.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa

from app import clock, telemetry
from app.read_model.state import MessageState
from app.read_model.store import MOST_IDS, UNREADABLE_STATE, state_of
from app.read_model.tables import SchemaError, check_schema, messages, read_models

_log = telemetry.logger(__name__)
T = TypeVar("T")

# Seconds: timeout of a query; between two health checks; since the writer last caught up, to count as behind.
ANSWER_S, LOOK_S, BEHIND_S = 0.25, 2.0, 15.0
THREADS = 4
MOST_OF_KEY = 1000
_generation = sa.select(read_models.c.generation).scalar_subquery()
_current = sa.select(messages).where(messages.c.generation == _generation)


class ReadModel:
    """Use between `start` and `stop`. `problem`: why answers may be missing or stale; "" if they are not."""

    def __init__(self, engine: sa.Engine, answer_s: float = ANSWER_S, look_s: float = LOOK_S) -> None:
        self._engine, self._answer_s, self._look_s = engine, answer_s, look_s
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="read-model")
        self._asked = 0
        self._task: asyncio.Task[None] | None = None
        self._usable, self.problem = False, "the read model was not looked at yet"

    async def start(self) -> None:
        """Check the database now, then at intervals until `stop`."""
        await self.look()
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="read model")

    async def stop(self) -> None:
        """Stop checking and querying. Does not wait for threads that still wait for the database."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def look(self) -> None:
        """Check if the database can be read and if its writer is behind; sets `problem`."""
        before = self.problem
        try:
            caught_up_ms = await self._answer(_caught_up_ms)
        except (SchemaError, sa.exc.SQLAlchemyError, TimeoutError) as error:
            self._usable, self.problem = False, _why_unusable(error)
        else:
            self._usable, self.problem = True, _behind(caught_up_ms)
        if self.problem != before and (self.problem == "") != (before == ""):
            say = _log.warning if self.problem else _log.info
            say("read_model.state", problem=self.problem)

    async def of_ids(self, tenant: str, ids: Collection[str]) -> dict[str, MessageState] | None:
        """States of the known messages among `ids` of `tenant`, by id; None while the database is unusable."""
        found = await self._asking(lambda connection: _of_ids(connection, tenant, list(ids)))
        return None if found is None else {state.message_id: state for state in found}

    async def of_key(self, tenant: str, key_hash: str) -> Sequence[MessageState] | None:
        """Messages of an idempotency key, at most 1,000; None while the database is unusable."""
        own = (messages.c.tenant == tenant, messages.c.key_hash == key_hash)
        query = _current.where(*own).order_by(messages.c.message_id).limit(MOST_OF_KEY)
        return await self._asking(lambda connection: [state_of(row) for row in connection.execute(query)])

    async def _asking(self, ask: Callable[[sa.Connection], list[MessageState]]) -> list[MessageState] | None:
        """Run a query. None, without waiting, if the last check failed or all threads are busy."""
        if not self._usable or self._asked >= THREADS:
            return None
        try:
            return await self._answer(ask)
        except UNREADABLE_STATE as error:
            # One undecodable row affects this query only; the database stays usable.
            _log.error("read_model.row_unreadable", error=type(error).__name__)
            return None
        except (sa.exc.SQLAlchemyError, TimeoutError) as error:
            # No query before the next check succeeds, so that no caller waits for a timeout.
            self._usable, self.problem = False, _why_unusable(error)
            return None

    async def _answer(self, ask: Callable[[sa.Connection], T]) -> T:
        """Run `ask` in a thread. Raises TimeoutError after `answer_s` seconds; the thread cannot be cancelled."""
        if self._asked >= THREADS:
            raise TimeoutError
        self._asked += 1
        asked = self._threads.submit(self._connected, ask)
        loop = asyncio.get_running_loop()
        asked.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._done))
        return await asyncio.wait_for(asyncio.wrap_future(asked), self._answer_s)

    def _done(self) -> None:
        self._asked -= 1

    def _connected(self, ask: Callable[[sa.Connection], T]) -> T:
        with self._engine.connect() as connection:
            return ask(connection)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            await self.look()


def find_problem(engine: sa.Engine) -> str:
    """Describe why answers of the read model may be missing or stale; "" if they are not. Blocking: opens a connection
    and runs two statements."""
    try:
        with engine.connect() as connection:
            return _behind(_caught_up_ms(connection))
    except (SchemaError, sa.exc.SQLAlchemyError) as error:
        return _why_unusable(error)


def _caught_up_ms(connection: sa.Connection) -> int:
    """Time in ms at which the writer had last caught up. Raises SchemaError."""
    check_schema(connection)
    return int(connection.execute(sa.select(read_models.c.caught_up_ms)).scalar_one())


def _why_unusable(error: Exception) -> str:
    """Omits the text of the driver's error, which may contain the URL with its password, or a statement."""
    return str(error) if isinstance(error, SchemaError) else f"the read model cannot be read ({type(error).__name__})"


def _behind(caught_up_ms: int) -> str:
    if not caught_up_ms:
        return "the read model has not caught up yet"
    if clock.now_ms() - caught_up_ms > BEHIND_S * 1000:
        return f"the read model is behind since {clock.iso(caught_up_ms // 1000 * 1000)}"
    return ""


def _of_ids(connection: sa.Connection, tenant: str, ids: list[str]) -> list[MessageState]:
    found: list[MessageState] = []
    for start in range(0, len(ids), MOST_IDS):
        wanted = messages.c.message_id.in_(ids[start : start + MOST_IDS])
        query = _current.where(messages.c.tenant == tenant, wanted)
        found += [state_of(row) for row in connection.execute(query)]
    return found
