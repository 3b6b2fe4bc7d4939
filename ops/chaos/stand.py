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

from app.dev import surroundings
from app.dev.parts import Part
from app.dev.stand import apply_topics
from app.settings import Settings
from ops.chaos.broker import ProxiedBroker, quiet_ports
from ops.chaos.deadlines import Deadlines
from ops.chaos.diary import Diary
from ops.chaos.proxy import Proxy
from ops.chaos.tap import HttpTap
from ops.chaos.watching import Calls, door_tap

PARTITIONS = 4
WORKERS = ("worker-1", "worker-2", "worker-3")
WAYS = {"worker-1": "WAYONE", "worker-2": "WAYTWO", "worker-3": "WAYTHREE", "ingress": "WAYDOOR"}
PREFIX = "chaos."
# The lane of campaigns, so that they do not use up the rate of the others.
SLOW_LANE, SLOW_SERVICE = "slow", surroundings.SERVICE[:-1] + "2"
LOOK_S = 0.05
# Waits before the first, second ... further attempt after a failure that allows one.
RETRIES_S = [1.0, 3.0]

TENANTS = """\
[tenants.default]
account_sid = "{account}"
auth_tokens = ["{token}"]
status_callback_url = "{door}/twilio/status"
inbound_url = "{door}/twilio/inbound"
shared_requests = true
retry_delays_s = {retries}
resend_after_s = {{alert = 2.0}}
[tenants.default.lanes.main]
messaging_service_sid = "{service}"
rate = {rate}
[tenants.default.lanes.{slow}]
messaging_service_sid = "{slow_service}"
rate = 60
"""


class Hand(Part):
    """A part whose command and environment may differ from one life to the next. Signals to it go to `diary`."""

    diary: Diary

    def with_module(self, module: str) -> None:
        """Run this in place of `app`."""
        self._command[2] = module

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
    """See the module. `plant`: name of a planted fault for the workers. Use inside one event loop.

    Raises BrokerFault, PartFault, OSError.
    """

    def __init__(self, directory: Path, deadlines: Deadlines, diary: Diary, rng: random.Random, plant: str) -> None:
        self.directory, self.deadlines, self.diary, self._plant = directory, deadlines, diary, plant
        ports = iter(quiet_ports(16, rng))
        self.kafka_port, self.simulator_port, self.ingress_port, self.door_port = (next(ports) for _ in range(4))
        ways = {name: (next(ports), next(ports)) for name in WAYS}
        self.broker = ProxiedBroker(
            self.kafka_port, directory / "kafka", {WAYS[name]: both for name, both in ways.items()}
        )
        self.calls = Calls(diary)
        self.kafka = {name: Proxy(told, port) for name, (port, told) in ways.items()}
        self.twilio = {name: Proxy(next(ports), self.simulator_port, self._call_tap(name)) for name in WORKERS}
        self.door = Proxy(self.door_port, self.ingress_port, door_tap(diary))
        self.traps = directory / "traps"
        self.parts: dict[str, Hand] = {}
        self.down: set[str] = set()
        self._guard: asyncio.Task[None] | None = None
        self.rate = 40

    def _call_tap(self, worker: str) -> Callable[[], HttpTap]:
        return lambda: self.calls.tap(worker)

    async def start(self) -> None:
        """Everything up and ready."""
        await asyncio.to_thread(self.broker.start)
        for proxy in (*self.kafka.values(), *self.twilio.values(), self.door):
            await proxy.start()
        self.traps.mkdir()
        self.write_tenants()
        surroundings.api_key(self.directory, self.api_key_store)
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
        for proxy in (*self.kafka.values(), *self.twilio.values(), self.door):
            proxy.free()
        await asyncio.to_thread(self._stop_parts)
        await asyncio.to_thread(self.broker.stop)
        for proxy in (*self.kafka.values(), *self.twilio.values(), self.door):
            await proxy.stop()

    def _stop_parts(self) -> None:
        for part in self.parts.values():
            part.terminate()
        for part in self.parts.values():
            part.stop()

    def add_worker(self, name: str) -> None:
        """One more worker, started and not yet ready."""
        self._add(name, ["worker"], "ops.chaos.worker")

    def _add(self, name: str, arguments: list[str], module: str = "app") -> None:
        part = Hand(name, arguments, self.environment(name), self.directory / "logs" / f"{name}.log")
        part.with_module(module)
        part.diary = self.diary
        self.parts[name] = part
        part.start()

    def environment(self, name: str) -> dict[str, str]:
        """What a part is told; "" stands for the harness itself, which takes the straight way to the broker."""
        way = self.kafka[name].port if name in self.kafka else self.kafka_port
        twilio = self.twilio[name].port if name in self.twilio else self.simulator_port
        keys = surroundings.keys(self.directory / "keys.json", {})
        ours = {
            **surroundings.bare(os.environ),
            **surroundings.simulated(self.door_port, twilio),
            **keys,
            **self.deadlines.environment(),
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{way}",
            "HELIOGRAPH_TOPIC_PREFIX": PREFIX,
            "HELIOGRAPH_PARTITIONS": str(PARTITIONS),
            "HELIOGRAPH_CONFIG": str(self.directory / "tenants.toml"),
            "HELIOGRAPH_API_KEY_STORE": str(self.api_key_store),
            "HELIOGRAPH_SPOOL_DIR": str(self.directory / "spool"),
            "HELIOGRAPH_DATA_DIR": str(self.data_dir(name)),
            "HELIOGRAPH_INTERNAL_PORT": "0",
            "PYTHONUNBUFFERED": "1",
        }
        return ours | {"CHAOS_PLANT": self._plant, "CHAOS_TRAPS": str(self.traps)} if name in WORKERS else ours

    @property
    def api_key_store(self) -> Path:
        """Hashes of the keys for /v1."""
        return self.directory / "api-keys.json"

    @property
    def api_key(self) -> str:
        """The key of the load generator."""
        return surroundings.api_key(self.directory, self.api_key_store)

    def settings(self) -> Settings:
        """As the harness reads them."""
        return Settings.read(self.environment(""))

    def write_tenants(self) -> None:
        """The tenants file as of `rate`."""
        text = TENANTS.format(
            account=surroundings.ACCOUNT,
            token=surroundings.TOKEN,
            service=surroundings.SERVICE,
            door=f"http://127.0.0.1:{self.door_port}",
            rate=self.rate,
            retries=RETRIES_S,
            slow=SLOW_LANE,
            slow_service=SLOW_SERVICE,
        )
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
