"""Builds the Faust app that runs our agents, and runs it."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faust
import uvloop
from faust.exceptions import ConsistencyError
from faust.transport.drivers import aiokafka as driver

from app.streams.engine.agent import Agent
from app.streams.engine.budget import Limits
from app.streams.engine.consumer import MAX_WAITING, Consumer
from app.streams.engine.crash_marker import CrashMarker
from app.streams.engine.datadir import DataDir
from app.streams.engine.engine import Engine
from app.streams.engine.lease import Lease
from app.streams.engine.poison_guard import PoisonGuard
from app.streams.engine.positions import Positions
from app.streams.engine.process_context import ProcessContext
from app.streams.engine.process_exit import CONFIG, FAULT, die
from app.streams.engine.producer import LeasedProducer
from app.streams.engine.shutdown import in_time, leave, until_not
from app.streams.engine.store import OPTIONS
from app.streams.engine.watchdog import Stall, watch

SWITCH_S = 0.0005


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """What the engine needs to know. `client`: keyword arguments of aiokafka clients (servers, security); `faust`:
    the same for Faust (broker_credentials, ssl_context). `slice_records`: the most folded in one cycle; `effects_s`:
    the most that effects under way take to end; `positions`: topic of positions (see `Positions`). `unsafe` switches
    cures off; tests alone set it."""

    app_id: str
    servers: str
    data_dir: Path
    partitions: int
    session_timeout_s: float = 10.0
    rebalance_timeout_s: float = 30.0
    commit_interval_s: float = 1.0
    stall_timeout_s: float = 30.0
    effects_s: float = 15.0
    slice_records: int = 2000
    positions: str = ""
    client: dict[str, Any] = field(default_factory=dict)
    faust: dict[str, Any] = field(default_factory=dict)
    unsafe: frozenset[str] = frozenset()


class Transport(driver.Transport):  # type: ignore[misc] # faust is Any here
    """Faust's transport with our consumer."""

    Consumer = Consumer


class EngineTable(faust.Table):  # type: ignore[misc] # faust is Any here
    """Faust's table, which leaves the restoring of rows to our consumer."""

    def apply_changelog_batch(self, batch: Any) -> None:
        """Nothing: these rows are in the store. Faust keeps them back until the end of a recovery, and would put them
        over later rows of the same keys."""


class EngineTableManager(faust.tables.TableManager):  # type: ignore[misc] # faust is Any here
    """Faust's tables, which start at once."""

    async def on_start(self) -> None:
        """Without Faust's second of waiting for tables that may be added later: all of ours are there."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class EngineApp(faust.App):  # type: ignore[misc] # faust is Any here
    """Faust's app with our transport and engine."""

    engine: Engine

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self)


class Runtime:
    """One worker process: data directory, lease, producer, engine, app.

    `started` and `stopping` run before the agents and after them; `set_aside` counts by topic the records that were set
    aside since the process began.
    """

    def __init__(self, config: EngineConfig, agents: Callable[[], Sequence[Agent]]) -> None:
        self.config = config
        self.data = DataDir(config.data_dir)
        self.marker, self.guard = CrashMarker(self.data.path), PoisonGuard(self.data.path)
        self.guard.count(self.marker.deaths, self.marker.trace)
        self.lease = Lease(config.session_timeout_s)
        self.lease.enforced = "lease" not in config.unsafe
        self.stall = Stall(config.stall_timeout_s)
        self._client = {"bootstrap_servers": config.servers, **config.client}
        self.producer = LeasedProducer(self.lease, **self._client)
        self._agents = agents
        self.set_aside: Counter[str] = Counter()
        self.started: list[Callable[[], Awaitable[None]]] = []
        self.stopping: list[Callable[[], Awaitable[None]]] = []

    def build(self) -> EngineApp:
        """The app, its tables and its agents. Call inside the running loop."""
        agents = self._agents()
        app = EngineApp(**_settings(self.config, self.data, [agent.topic for agent in agents]))
        shared = ProcessContext(
            producer=self.producer,
            marker=self.marker,
            guard=self.guard,
            set_aside=self._count_set_aside,
            limits=Limits(records=self.config.slice_records),
            unsafe=self.config.unsafe,
        )
        self.engine = app.engine = Engine(agents, self.lease, shared)
        self.engine.client = self._client
        self.engine.positions = Positions(self.config.positions, self.producer)
        tables = {
            spec.name: app.Table(
                spec.name,
                key_type=bytes,
                value_type=bytes,
                partitions=self.config.partitions,
                recovery_buffer_size=1000,
                options=dict(OPTIONS),
            )
            for agent in agents
            for spec in agent.tables
        }
        self.engine.bind(app, tables)
        for agent in agents:
            _attach(app, agent)
        return app

    def _count_set_aside(self, topic: str) -> None:
        self.set_aside[topic] += 1

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set: then effects end, cycles finish, offsets are committed. Exits 70 or 78 on a fault, 70
        also where the end takes too long."""
        self.marker.watch()
        await self.producer.start()
        app = self.build()
        app.finalize()
        for hook in self.started:
            await hook()
        # Before the start, which ends with the first recovery.
        watchdog = asyncio.get_running_loop().create_task(watch(self.engine, self.stall, self.marker.blame_thread))
        start = asyncio.get_running_loop().create_task(app.start())
        positions = asyncio.get_running_loop().create_task(self.engine.positions.run(app.consumer.committed))
        await self._until(app, (start, watchdog, positions), stop)
        await in_time(self._let_effects_end(), self.config.effects_s)
        for task in (watchdog, start, positions):
            task.cancel()
        await in_time(self._end(app))

    async def _let_effects_end(self) -> None:
        for hook in self.stopping:
            await hook()

    async def _end(self, app: EngineApp) -> None:
        """Cycles first: one that ran on would open tables that Faust has closed. What they did is committed after."""
        await until_not(lambda: app.rebalancing and not app.crashed)
        await self.engine.let_go()
        if self.lease.left_s() > 0:
            await app.consumer.commit()
            await self.engine.positions.write(app.consumer.committed())
        await app.stop()
        await self.engine.let_go()
        await self.producer.stop()

    async def _until(self, app: EngineApp, tasks: "Sequence[asyncio.Task[None]]", stop: asyncio.Event) -> None:
        """Told to end, also while it starts. Raises what one of the tasks raised: the start, the watchdog."""
        while not stop.is_set():
            for task in tasks:
                if task.done():
                    task.result()
            if app.crashed or app.should_stop:
                _crashed(app)
            try:
                await asyncio.wait_for(stop.wait(), 0.2)
            except TimeoutError:
                continue


def _crashed(app: EngineApp) -> None:
    reason = app.crash_reason
    if isinstance(reason, ConsistencyError):
        die("a table is ahead of its changelog: the changelog topic was re-created", CONFIG)
    die(f"faust crashed: {type(reason).__name__}: {str(reason)[:200]}", FAULT)


def _settings(config: EngineConfig, data: DataDir, topics: Sequence[str]) -> dict[str, Any]:
    return {
        "id": config.app_id,
        "broker": [f"kafka://{server}" for server in config.servers.split(",")],
        "store": "rocksdb://",
        "Table": EngineTable,
        "TableManager": EngineTableManager,
        "datadir": str(data.tables),
        "topic_partitions": config.partitions,
        "processing_guarantee": "at_least_once",
        "consumer_group_instance_id": data.member_reading(topics),
        "broker_session_timeout": config.session_timeout_s,
        "broker_heartbeat_interval": config.session_timeout_s / 5,
        "broker_rebalance_timeout": config.rebalance_timeout_s,
        "broker_commit_interval": config.commit_interval_s,
        "broker_max_poll_records": None,
        "consumer_max_fetch_size": 1 << 20,
        "stream_buffer_maxsize": 4 * MAX_WAITING,
        "stream_wait_empty": False,
        "table_standby_replicas": 0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        **config.faust,
    }


def _attach(app: EngineApp, agent: Agent) -> None:
    topic = app.topic(agent.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def body(stream: Any) -> None:
        async for event in stream.noack().events():
            app.engine.submit(event.message.tp, event.value)
            event.ack()

    app.agent(topic, name=agent.name, concurrency=1)(body)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a worker's main coroutine on uvloop, and Faust's consumer thread too."""
    # Consumer and journal threads hand over small things often: 5 ms of waiting for the interpreter lock is too long.
    sys.setswitchinterval(SWITCH_S)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main())
    leave()
