"""The stand: broker, simulator, ingress, workers, bridge, as separate processes on one machine.

Used by `up`, `demo`, tests, benches. Without `live` every TWILIO_* of the environment is ignored and everything goes to
the simulator that the stand started.
"""

import asyncio
import fcntl
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient

from app.config.settings import Settings
from app.config.tenants import Tenant, load_tenants, read_tenants
from app.dev import process_env
from app.dev.broker import BrokerError, DevBroker, free_port
from app.dev.compose_broker import BrokerControl, dev_broker
from app.dev.process import ChildProcess, ProcessError
from app.dev.process_env import ACCOUNT, SERVICE
from app.kafka import topic_plan
from app.kafka.client import client_settings, kafka_error
from app.provider.account.desired_state import webhooks
from app.records.topics import Topics

__all__ = ["ACCOUNT", "SERVICE", "ClusterPlan", "DevCluster"]


class ClusterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to bring up.

    `kafka`: a broker that runs already; `extra`: settings on top; `simulator`: its options; `bridge`, `read_model`:
    whether it runs;
    `ports`: of ingress, internal (the ingress's metrics), worker-1 ..., simulator, bridge, kafka (else any free one);
    `program`: what Python runs as each part (tests plant faults in it).
    """

    directory: Path
    kafka: str = ""
    prefix: str = ""
    workers: int = 1
    live: bool = False
    bridge: bool = True
    read_model: bool = False
    extra: dict[str, str] = {}
    simulator: list[str] = []
    ports: dict[str, int] = {}
    program: tuple[str, ...] = ("-m", "app")


class DevCluster:
    """Starts and stops every process of a cluster. Raises BrokerError, ProcessError."""

    def __init__(self, plan: ClusterPlan, env: Mapping[str, str]) -> None:
        self.plan = plan
        self._outside = dict(env)
        self._broker: BrokerControl | None = None
        self._lock = ExitStack()
        self.parts: dict[str, ChildProcess] = {}
        self.env: dict[str, str] = {}
        # A key of tenant `default` for /v1; "" where its keys are not ours to make.
        self.api_key = ""

    def start(self) -> dict[str, Any]:
        """Everything up and ready; its addresses."""
        self._lock.enter_context(_alone_in(self.plan.directory))
        address = self.plan.kafka or self._outside.get("KAFKA_BOOTSTRAP_SERVERS") or self._own_broker()
        self._ports = {name: self.plan.ports.get(name) or free_port() for name in ("ingress", "simulator")}
        self.env = self._environment(address)
        self._make_api_key()
        asyncio.run(apply_topics(self.env))
        if not self.plan.live:
            self._add("simulator", self._simulator())
        internal = str(self.plan.ports.get("internal", 0))
        self._add("ingress", ["ingress", "--port", str(self._ports["ingress"]), "--internal-port", internal])
        for number in range(1, self.plan.workers + 1):
            self.add_worker(number)
        if self.plan.bridge:
            self._add("bridge", ["bridge", "--port", str(self.plan.ports.get("bridge", 0))])
        if self.plan.read_model:
            port = str(self.plan.ports.get("read-model", 0))
            self._add("read-model", ["read-model", "run", "--port", port])
        for part in self.parts.values():
            part.wait()
        return self.addresses()

    def _own_broker(self) -> str:
        directory = self.plan.directory / "kafka"
        found, wanted = DevBroker(0, directory), self.plan.ports.get("kafka", 0)
        running = found.running() is not None
        # Where the broker of this directory runs; else the wanted port, or any free one when that is taken.
        port = found.found_port() if running else wanted if wanted and is_free(wanted) else free_port()
        broker = dev_broker(port, directory)
        if not running:  # one that was started by itself is not ours to stop
            self._broker = broker
        return broker.start()

    def add_worker(self, number: int) -> ChildProcess:
        """One more worker, started and not yet ready."""
        name = f"worker-{number}"
        own = {
            "HELIOGRAPH_DATA_DIR": str(self.plan.directory / name),
            "HELIOGRAPH_INTERNAL_PORT": str(self.plan.ports.get(name, 0)),
        }
        return self._add(name, ["worker", *(["--live"] if self.plan.live else [])], own)

    def _add(self, name: str, arguments: list[str], more: Mapping[str, str] | None = None) -> ChildProcess:
        log = self.plan.directory / "logs" / f"{name}.log"
        told = process_env.told_to(name, {**self.env, **(more or {})})
        part = ChildProcess(name, arguments, told, log, self.plan.program)
        self.parts[name] = part
        part.start()
        return part

    def _simulator(self) -> list[str]:
        """Set up as `heliograph twilio apply` would have it."""
        urls = webhooks(Tenant(inbound_url=self.env["TWILIO_INBOUND_WEBHOOK_PUBLIC_URL"]))
        port, given = str(self._ports["simulator"]), ["--inbound-url", urls.inbound, "--fallback-url", urls.fallback]
        return ["simulator", "--port", port, *given, *self.plan.simulator]

    def addresses(self) -> dict[str, Any]:
        """Where everything is, and the pids of each part."""
        said = {name: part.ready for name, part in self.parts.items()}
        pids: dict[str, list[int]] = {}
        for name, part in self.parts.items():
            pids.setdefault(name.rstrip("0123456789").rstrip("-"), []).append(part.pid)
        return {
            "kafka": self.env["KAFKA_BOOTSTRAP_SERVERS"],
            "ingress": said["ingress"]["ingress"],
            "internal": said["ingress"]["internal"],
            "simulator": said.get("simulator", {}).get("simulator"),
            "metrics": said.get("bridge", {}).get("metrics"),
            "read_model": said.get("read-model", {}).get("read_model"),
            "pids": pids,
        }

    def dead(self) -> list[ChildProcess]:
        """The processes that ended by themselves."""
        return [part for part in self.parts.values() if part.dead() is not None]

    def revive(self) -> list[str]:
        """Call it often: what died is started again after a wait; says which were started now."""
        return [part.name for part in self.dead() if part.revive()]

    def revive_broker(self) -> bool:
        """Start our own broker, a container apart, if it ended; True when it was, and answers. Raises BrokerError."""
        broker = self._broker
        if not isinstance(broker, DevBroker) or broker.running() is not None:
            return False
        broker.start()
        return True

    def stop(self) -> None:
        """Everything down, in reverse; workers together."""
        for part in self.parts.values():
            if part.name.startswith(("worker", "bridge", "read-model")):
                part.terminate()
        for part in reversed(self.parts.values()):
            part.stop()
        if self._broker is not None:
            self._broker.stop()
        self._lock.close()

    def wipe(self) -> None:
        """After `stop`: forget what went through it, its own broker's data or its topics on a broker that stays."""
        if self._broker is not None:
            self._broker.wipe()
        elif self.plan.prefix and self.env:
            asyncio.run(_delete_topics(Settings.read(self.env)))

    def _environment(self, address: str) -> dict[str, str]:
        plan, seen = self.plan, process_env.passed_on(self._outside, live=self.plan.live)
        ours = {
            "KAFKA_BOOTSTRAP_SERVERS": address,
            "PYTHONUNBUFFERED": "1",
            "HELIOGRAPH_SPOOL_DIR": seen.get("HELIOGRAPH_SPOOL_DIR") or str(plan.directory / "spool"),
            "HELIOGRAPH_READ_MODEL_DIR": seen.get("HELIOGRAPH_READ_MODEL_DIR") or str(plan.directory / "read-model"),
            **process_env.keys(plan.directory / "keys.json", seen),
        }
        if plan.prefix:
            ours["HELIOGRAPH_TOPIC_PREFIX"] = plan.prefix
        if not plan.live:
            ours |= process_env.simulated(self._ports["ingress"], self._ports["simulator"])
        return {**seen, "HELIOGRAPH_TOPIC_PREFIX": seen.get("HELIOGRAPH_TOPIC_PREFIX", ""), **ours, **plan.extra}

    def _make_api_key(self) -> None:
        """Unless the starter names a store of its own."""
        store = self.plan.directory / "api-keys.json"
        if self.env.get("HELIOGRAPH_API_KEY_STORE"):
            return
        self.env["HELIOGRAPH_API_KEY_STORE"] = str(store)
        settings, _ = Settings.read_with_faults(self.env)
        if "default" in load_tenants(settings)[0]:
            self.api_key = process_env.api_key(self.plan.directory, store)


def _alone_in(directory: Path) -> Any:
    """The directory's lock, held until it is closed. Raises ProcessError when another stand has it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "lock").open("ab")
    except OSError as error:
        raise ProcessError(f"{directory} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ProcessError(f"another one runs in {directory}: choose another with --dir") from None
    return file


def is_free(port: int) -> bool:
    """Whether nobody listens on it now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


async def apply_topics(env: Mapping[str, str]) -> None:
    """Topics as declared. Raises BrokerError without a broker, PartFault when a change is refused."""
    settings = Settings.read(env)
    admin = AIOKafkaAdminClient(**client_settings(settings))
    try:
        await admin.start()
    except kafka_error():
        raise BrokerError(f"no Kafka at {settings.kafka} (KAFKA_BOOTSTRAP_SERVERS)") from None
    try:
        topics = Topics(settings.topic_prefix, settings.group, read_tenants(settings)).all
        todo = await topic_plan.plan(admin, topics, settings.partitions, settings.replication)
        if todo.refused:
            raise ProcessError("; ".join(f"{change.topic} {change.detail}" for change in todo.refused))
        await topic_plan.apply(admin, todo, settings.partitions, settings.replication)
    finally:
        await admin.close()


async def _delete_topics(settings: Settings) -> None:
    """A throwaway stand's topics on a broker that stays: all under its own prefix."""
    admin = AIOKafkaAdminClient(**client_settings(settings))
    try:
        await admin.start()
        found = await admin.list_topics()
        await admin.delete_topics([name for name in found if name.startswith(settings.topic_prefix)])
    except kafka_error():
        return  # the broker is gone, and the topics with it or out of reach
    finally:
        await admin.close()
