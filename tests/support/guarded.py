"""A real broker with an authorizer: each process has a user of its own, with the rights that are declared for it."""

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from app.dev.broker import DevBroker, free_port
from app.dev.process import ChildProcess
from app.kafka.rights import Right, missing_rights, rights_of
from app.records.topics import Topics
from tests.support.commands import KEYS

USERS = ("topics", "worker", "ingress", "bridge", "read-model", "blind-ingress", "stranger")
PREFIX = "guarded."
TOPICS = Topics(PREFIX, f"{PREFIX}heliograph", ["default"])
PROPERTIES = """\
listeners=PLAINTEXT://127.0.0.1:{{port}},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{{controller}}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {users};
"""


class GuardedWorker:
    """See the module. Whoever comes over the plain listener may do everything."""

    def __init__(self, path: Path) -> None:
        self.path, self._sasl = path, free_port()
        users = " ".join(f'user_{user}="of-{user}"' for user in USERS)
        self.broker = DevBroker(free_port(), path / "kafka", more=PROPERTIES.format(sasl=self._sasl, users=users))

    def env(self, user: str, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
        """What a process of this user is told."""
        return {
            **KEYS,
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self._sasl}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": f"of-{user}",
            "HELIOGRAPH_TOPIC_PREFIX": PREFIX,
            "HELIOGRAPH_PARTITIONS": "2",
            "HELIOGRAPH_DATA_DIR": str(self.path / user),
            "HELIOGRAPH_SPOOL_DIR": str(self.path / f"{user}-spool"),
            "HELIOGRAPH_READ_MODEL_DIR": str(self.path / "read-model"),
            "HELIOGRAPH_API_KEY_STORE": str(self.path / "api-keys.json"),
            "HELIOGRAPH_INTERNAL_PORT": "0",
            **more,
        }

    def allow(self, user: str, rights: Iterable[Right]) -> None:
        """These rights, in force when it returns."""
        rights, admin = list(rights), AdminClient({"bootstrap.servers": self.broker.address})
        for done in admin.create_acls([_binding(user, right) for right in rights]).values():
            done.result(20)
        client = {
            "bootstrap_servers": f"127.0.0.1:{self._sasl}",
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": user,
            "sasl_plain_password": f"of-{user}",
        }
        while asyncio.run(missing_rights(client, rights)):
            pass  # the broker learns of it from its controller, in some milliseconds

    def part(self, user: str, *words: str, **more: str) -> ChildProcess:
        """A process of this user, started."""
        part = ChildProcess(user, list(words), self.env(user, more), self.path / f"{user}.log")
        part.start()
        return part


def _binding(user: str, right: Right) -> AclBinding:
    kind = ResourceType.TOPIC if right.kind == "topic" else ResourceType.GROUP
    operation = AclOperation[right.operation.name]
    return AclBinding(
        kind, right.name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW
    )


@contextmanager
def guarded(path: Path) -> Iterator[GuardedWorker]:
    """The broker, started; the users of our processes have the rights that are declared."""
    made = GuardedWorker(path)
    made.broker.start()
    try:
        for user in ("topics", "worker", "ingress", "bridge", "read-model"):
            made.allow(user, rights_of(TOPICS, user))
        yield made
    finally:
        made.broker.stop()
