"""The stand under fire: broker, simulator, ingress, workers, each behind proxies, each started again when it dies."""

import asyncio
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

import aiohttp

from app.config.settings import Settings
from app.dev import process_env
from app.dev.dev_cluster import apply_topics
from app.dev.process import ChildProcess
from ops.chaos.broker import ProxiedBroker, quiet_ports
from ops.chaos.cluster import Cluster, Ways
from ops.chaos.deadlines import Deadlines
from ops.chaos.diary import Diary
from ops.chaos.proxy import Proxy
from ops.chaos.run_keys import RunKeys
from ops.chaos.small_disk import BROKER_MB, SmallDisk
from ops.chaos.tap import HttpTap
from ops.chaos.tenants_file import tenants_text
from ops.chaos.watching import Calls, Webhooks, door_tap

PARTITIONS = 4
WORKERS = ("worker-1", "worker-2", "worker-3")
WAYS = {
    "worker-1": "WAYONE",
    "worker-2": "WAYTWO",
    "worker-3": "WAYTHREE",
    "ingress": "WAYDOOR",
    "ingress-2": "WAYDOORTWO",
}
SECOND_INGRESS = "ingress-2"
PREFIX = "chaos."
LOOK_S = 0.05


class Hand(ChildProcess):
    """A part whose command and environment may differ from one life to the next. Signals to it go to `diary`."""

    diary: Diary

    def with_module(self, module: str) -> None:
        """Run this in place of `app`."""
        self._command[2] = module

    def tell(self, env: dict[str, str]) -> None:
        """The next life has these environment variables, and no others."""
        self._env = dict(env)

    def arm(self, point: str) -> None:
        """The next life has HELIOGRAPH_DIE_AT=`point`; "" for none."""
        self._env.pop("HELIOGRAPH_DIE_AT", None)
        if point:
            self._env["HELIOGRAPH_DIE_AT"] = point
            self._note(SIGKILL)

    def signal(self, number: Signals) -> None:
        """Send a signal."""
        self._note(number)
        super().signal(number)

    def terminate(self) -> None:
        """SIGTERM; `stop` waits."""
        self._note(SIGTERM)
        super().terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._note(SIGKILL)
        super().kill()

    def _note(self, number: Signals) -> None:
        """What may end this life, or the next one of an armed part: any other end is one that no fault asked for."""
        self.diary.note("signaled", part=self.name, signal=int(number))

    def revive(self) -> bool:
        """Here deaths in a row are ours: the wait does not grow with them."""
        self._deaths = 1
        return super().revive()


class Stand:
    """See the module. `plant`: name of a planted fault for the workers; `brokers`: how many, each topic has as many
    replicas; `small_disk`: the broker's data is on a small disk. Use inside one event loop.

    Raises BrokerError, ProcessError, OSError, MountError.
    """

    def __init__(
        self,
        directory: Path,
        deadlines: Deadlines,
        diary: Diary,
        rng: random.Random,
        plant: str,
        *,
        brokers: int = 1,
        small_disk: bool = False,
    ) -> None:
        self.directory, self.deadlines, self.diary, self._plant = directory, deadlines, diary, plant
        ports = iter(quiet_ports(10 + brokers * 2 * (1 + len(WAYS)), rng))
        self.simulator_port, self.ingress_port, self.second_port, self.door_port = (next(ports) for _ in range(4))
        self.cluster = Cluster(brokers, directory, WAYS, ports)
        self.disks: dict[str, SmallDisk] = {}
        if small_disk:
            self.disks["broker"] = SmallDisk(self.broker.directory / "data", BROKER_MB)
        self.keys = RunKeys(directory)
        self.calls = Calls(diary)
        self.kafka = self.cluster.ways
        self.twilio = {name: Proxy(next(ports), self.simulator_port, self._call_tap(name)) for name in WORKERS}
        self.webhooks = Webhooks()
        self.door = Proxy(self.door_port, self.ingress_port, door_tap(diary, self.webhooks))
        self.traps = directory / "traps"
        self.parts: dict[str, Hand] = {}
        self.down: set[str] = set()
        self._guard: asyncio.Task[None] | None = None
        self.rate = 40
        # Auth tokens of the account: the first logs in, and the simulator signs with it; texts of people are signed
        # with `signing_token`.
        self.auth_tokens: tuple[str, ...] = (process_env.TOKEN,)
        self.signing_token = process_env.TOKEN

    @property
    def servers(self) -> str:
        """Bootstrap servers of the harness itself: the straight way."""
        return self.cluster.servers

    @property
    def broker(self) -> ProxiedBroker:
        """The broker that stands alone, or the first."""
        return self.cluster.nodes[1]

    def _proxies(self) -> tuple[Proxy | Ways, ...]:
        return (*self.kafka.values(), *self.twilio.values(), self.door)

    def _call_tap(self, worker: str) -> Callable[[], HttpTap]:
        return lambda: self.calls.tap(worker)

    async def start(self) -> None:
        """Everything up and ready."""
        await self.cluster.start()
        for proxy in self._proxies():
            await proxy.start()
        self.traps.mkdir()
        for name in WORKERS:
            self.clock_file(name).write_bytes(bytes(8))
        self.write_tenants()
        await apply_topics(self.environment(""))
        self._add("simulator", ["simulator", "--port", str(self.simulator_port), "--latency-ms", "25"])
        self._add("ingress", ["ingress", "--port", str(self.ingress_port), "--internal-port", "0"])
        for name in WORKERS[:2]:
            self.add_worker(name)
        await asyncio.to_thread(self._wait_all)
        self._guard = asyncio.get_running_loop().create_task(self._revive())

    async def configure_simulator(self, **changes: Any) -> None:
        """Change its configuration (see `app.simulator.config.Changeable`)."""
        url = f"http://127.0.0.1:{self.simulator_port}/_sim/config"
        async with aiohttp.ClientSession() as http, http.post(url, json=changes) as answer:
            answer.raise_for_status()

    def _wait_all(self) -> None:
        for part in self.parts.values():
            part.wait()

    async def stop(self) -> None:
        """Everything down."""
        if self._guard is not None:
            self._guard.cancel()
        for proxy in self._proxies():
            proxy.free()
        await asyncio.to_thread(self._stop_parts)
        await self.cluster.stop()
        for proxy in self._proxies():
            await proxy.stop()
        for disk in self.disks.values():
            disk.unmount()

    def _stop_parts(self) -> None:
        for part in self.parts.values():
            part.terminate()
        for part in self.parts.values():
            part.stop()

    def add_worker(self, name: str) -> None:
        """One more worker, started and not yet ready."""
        self._add(name, ["worker"], "ops.chaos.worker")

    def add_second_ingress(self) -> None:
        """A further ingress with a spool of its own, started and not yet ready."""
        self._add(SECOND_INGRESS, ["ingress", "--port", str(self.second_port), "--internal-port", "0"])

    def _add(self, name: str, arguments: list[str], module: str = "app") -> None:
        part = Hand(name, arguments, self.environment(name), self.directory / "logs" / f"{name}.log")
        part.with_module(module)
        part.diary = self.diary
        self.parts[name] = part
        part.start()

    def environment(self, name: str) -> dict[str, str]:
        """What a part is told; "" stands for the harness itself, which takes the straight way to the broker."""
        twilio = self.twilio[name].port if name in self.twilio else self.simulator_port
        ours = {
            **process_env.bare(os.environ),
            **process_env.simulated(self.door_port, twilio),
            **self.keys.environment(),
            **self.deadlines.environment(),
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka[name].servers if name in self.kafka else self.servers,
            "HELIOGRAPH_REPLICATION": str(len(self.cluster.nodes)),
            "HELIOGRAPH_TOPIC_PREFIX": PREFIX,
            "HELIOGRAPH_PARTITIONS": str(PARTITIONS),
            "HELIOGRAPH_CONFIG": str(self.directory / "tenants.toml"),
            "HELIOGRAPH_SPOOL_DIR": str(self.directory / ("spool-2" if name == SECOND_INGRESS else "spool")),
            "HELIOGRAPH_DATA_DIR": str(self.data_dir(name)),
            "HELIOGRAPH_INTERNAL_PORT": "0",
            "PYTHONUNBUFFERED": "1",
        }
        planted = {
            "CHAOS_PLANT": self._plant,
            "CHAOS_TRAPS": str(self.traps),
            "CHAOS_CLOCK": str(self.clock_file(name)),
        }
        return ours | planted if name in WORKERS else ours

    def clock_file(self, name: str) -> Path:
        """How far a worker's wall clock is off (see `worker`)."""
        return self.traps / f"clock-{name}"

    def renew_environments(self) -> None:
        """Every part has today's keys from its next life on."""
        for name, part in self.parts.items():
            part.tell(self.environment(name))

    def settings(self) -> Settings:
        """As the harness reads them."""
        return Settings.read(self.environment(""))

    def write_tenants(self) -> None:
        """The tenants file as of `rate` and `auth_tokens`."""
        text = tenants_text(f"http://127.0.0.1:{self.door_port}", self.auth_tokens, self.rate)
        path = self.directory / "tenants.toml"
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)

    def data_dir(self, name: str) -> Path:
        """Of a worker."""
        return self.directory / (name or "none")

    def wipe_data(self, name: str) -> None:
        """A worker's disk is lost; it must be down."""
        shutil.rmtree(self.data_dir(name))

    async def _revive(self) -> None:
        """The supervisor: what died is noted, and started again unless a fault wants it down."""
        seen: dict[str, int] = {}
        while True:
            await asyncio.sleep(LOOK_S)
            for name, part in tuple(self.parts.items()):
                code = part.dead()
                if code is None or part.process is None:
                    continue
                if seen.get(name) != part.pid:
                    seen[name] = part.pid
                    part.arm("")
                    self.diary.note("died", part=name, code=code, said=part.last_line()[:300])
                if name not in self.down and part.revive():
                    self.diary.note("started", part=name)

    async def ready(self, name: str, seconds: float) -> bool:
        """Whether the part's present or next life says that it is ready, in time."""
        part, end = self.parts[name], time.monotonic() + seconds
        while time.monotonic() < end:
            if part.dead() is None and part.ready.get("pid") == part.pid:
                return True
            await asyncio.sleep(LOOK_S)
        return False
