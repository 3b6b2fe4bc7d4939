"""The stand: broker, simulator, ingress, workers, bridge, as separate processes on one machine.

Used by `up`, `demo`, tests, benches. Without `live` every TWILIO_* of the environment is ignored and everything goes to
the simulator that the stand started.
"""

import asyncio
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from app.dev.broker import DevBroker, free_port
from app.dev.parts import Part

ACCOUNT = "AC" + "0" * 31 + "1"
SERVICE = "MG" + "0" * 31 + "1"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to bring up. `extra`: settings on top; `simulator`: its options; `bridge`: whether it runs."""

    directory: Path
    kafka: str = ""
    prefix: str = ""
    workers: int = 1
    live: bool = False
    bridge: bool = True
    extra: dict[str, str] = {}
    simulator: list[str] = []
    ports: dict[str, int] = {}


class Stand:
    """See the module. Raises BrokerFault, PartFault."""

    def __init__(self, plan: Plan, env: Mapping[str, str]) -> None:
        self.plan = plan
        self._outside = dict(env)
        self._broker: DevBroker | None = None
        self.parts: dict[str, Part] = {}
        self.env: dict[str, str] = {}

    def start(self) -> dict[str, Any]:
        """Everything up and ready; its addresses."""
        kafka = self.plan.kafka or self._outside.get("KAFKA_BOOTSTRAP_SERVERS") or self._own_broker()
        self._ports = {name: self.plan.ports.get(name) or free_port() for name in ("ingress", "simulator")}
        self.env = self._environment(kafka)
        asyncio.run(apply_topics(self.env))
        if not self.plan.live:
            self._add("simulator", self._simulator())
        self._add("ingress", ["ingress", "--port", str(self._ports["ingress"]), "--internal-port", "0"])
        for number in range(1, self.plan.workers + 1):
            self.add_worker(number)
        if self.plan.bridge:
            self._add("bridge", ["bridge", "--port", str(self.plan.ports.get("bridge", 0))])
        for part in self.parts.values():
            part.wait()
        return self.addresses()

    def _own_broker(self) -> str:
        self._broker = DevBroker(self.plan.ports.get("kafka") or free_port(), self.plan.directory / "kafka")
        return self._broker.start()

    def add_worker(self, number: int) -> Part:
        """One more worker, started and not yet ready."""
        data = {"HELIOGRAPH_DATA_DIR": str(self.plan.directory / f"worker-{number}"), "HELIOGRAPH_INTERNAL_PORT": "0"}
        return self._add(f"worker-{number}", ["worker"], data)

    def _add(self, name: str, arguments: list[str], more: Mapping[str, str] | None = None) -> Part:
        part = Part(name, arguments, {**self.env, **(more or {})}, self.plan.directory / "logs" / f"{name}.log")
        self.parts[name] = part
        part.start()
        return part

    def _simulator(self) -> list[str]:
        inbound = self.env["TWILIO_INBOUND_WEBHOOK_PUBLIC_URL"]
        return ["simulator", "--port", str(self._ports["simulator"]), "--inbound-url", inbound, *self.plan.simulator]

    def addresses(self) -> dict[str, Any]:
        """Where everything is, and the pids of each part."""
        said = {name: part.ready for name, part in self.parts.items()}
        pids: dict[str, list[int]] = {}
        for name, part in self.parts.items():
            pids.setdefault(name.partition("-")[0], []).append(part.pid)
        return {
            "kafka": self.env["KAFKA_BOOTSTRAP_SERVERS"],
            "ingress": said["ingress"]["ingress"],
            "internal": said["ingress"]["internal"],
            "simulator": said.get("simulator", {}).get("simulator"),
            "metrics": said.get("bridge", {}).get("metrics"),
            "pids": pids,
        }

    def revive(self) -> list[str]:
        """Start again what died; says which."""
        dead = [part for part in self.parts.values() if part.dead() is not None]
        for part in dead:
            part.restart()
        return [part.name for part in dead]

    def stop(self) -> None:
        """Everything down, in reverse."""
        for part in reversed(self.parts.values()):
            part.stop()
        if self._broker is not None:
            self._broker.stop()

    def _environment(self, kafka: str) -> dict[str, str]:
        kept = {k: v for k, v in self._outside.items() if self.plan.live or not k.startswith("TWILIO_")}
        ours = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "HELIOGRAPH_TOPIC_PREFIX": self.plan.prefix,
            "HELIOGRAPH_SPOOL_DIR": str(self.plan.directory / "spool"),
            "PYTHONUNBUFFERED": "1",
            **_keys(self.plan.directory / "keys.json"),
        }
        if not self.plan.live:
            ours |= self._twilio()
        given = {name: value for name, value in kept.items() if name.startswith("HELIOGRAPH_")}
        return {**kept, **ours, **given, **self.plan.extra}

    def _twilio(self) -> dict[str, str]:
        public = f"http://127.0.0.1:{self._ports['ingress']}/twilio"
        return {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": "simulator-token",
            "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
            "TWILIO_API_BASE_URL": f"http://127.0.0.1:{self._ports['simulator']}",
            "TWILIO_STATUS_CALLBACK_URL": f"{public}/status",
            "TWILIO_INBOUND_WEBHOOK_PUBLIC_URL": f"{public}/inbound",
        }


def _keys(path: Path) -> dict[str, str]:
    """Keys for this directory, made once, readable by its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = {
            "HELIOGRAPH_PSEUDONYM_KEY": secrets.token_hex(32),
            "HELIOGRAPH_SEAL_KEYS": f"dev1:{secrets.token_hex(32)}",
            "HELIOGRAPH_API_KEYS": secrets.token_urlsafe(24),
        }
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(msgspec.json.encode(made))
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str])


async def apply_topics(env: Mapping[str, str]) -> None:
    """Topics as declared, on the stand's broker. Raises PartFault when a change is refused."""
    from aiokafka.admin import AIOKafkaAdminClient

    from app import kafka
    from app.dev.parts import PartFault
    from app.records import setup
    from app.records.topics import Topics
    from app.settings import Settings

    settings = Settings.read(env)
    admin = AIOKafkaAdminClient(**kafka.client(settings))
    await admin.start()
    try:
        topics = Topics(settings.topic_prefix, settings.group).all
        todo = await setup.plan(admin, topics, settings.partitions, settings.replication)
        if todo.refused:
            raise PartFault("; ".join(f"{change.topic} {change.detail}" for change in todo.refused))
        await setup.apply(admin, todo, settings.partitions, settings.replication)
    finally:
        await admin.close()
