"""Which rights on Kafka each process needs, from the declaration of topics and groups, and which of them it lacks."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion

from app.kafka.authorized_operations import Operation, group_operations, topic_operations
from app.records.topics import Topic, Topics

# Whoever runs `heliograph topics apply`: it makes and alters topics, and writes and reads none.
TOPICS_JOB = "topics"
# `doctor` and `topics plan` compare every topic with its declaration.
OPERATORS, TEAMS = "operators", "teams"
_APPLY = (Operation.CREATE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS)


class Right(NamedTuple):
    """One operation on one topic or consumer group."""

    kind: Literal["topic", "group"]
    name: str
    operation: Operation

    @property
    def words(self) -> str:
        """Such as: read topic contacts."""
        return f"{self.operation.name.lower().replace('_', ' ')} {self.kind} {self.name}"


def processes(topics: Topics) -> list[str]:
    """Everybody who has a right, by the name in front of the slash."""
    parties = {party for topic in topics.all.values() for party in (*topic.writers, *topic.readers)}
    return sorted({_process(party) for party in parties} | {TOPICS_JOB})


def rights_of(topics: Topics, process: str, *, shared_requests: bool = True) -> list[Right]:
    """All that `process` needs, topics first. `shared_requests`: whether the request topic of all tenants is among
    them."""
    known = [topic for topic in topics.all.values() if shared_requests or topic.name != topics.requests]
    found = [Right("topic", topic.name, one) for topic in known for one in _on_topic(topic, process)]
    for group in topics.groups:
        if process in group.members:
            found += [Right("group", group.name, one) for one in (Operation.READ, Operation.DESCRIBE)]
        elif process in group.observers:
            found.append(Right("group", group.name, Operation.DESCRIBE))
    return found


def _on_topic(topic: Topic, process: str) -> Iterator[Operation]:
    if process == TOPICS_JOB:
        yield from _APPLY
        return
    reads, writes = (process in map(_process, parties) for parties in (topic.readers, topic.writers))
    if reads:
        yield Operation.READ
    if writes:
        yield Operation.WRITE
    if reads or writes or process == OPERATORS:
        yield Operation.DESCRIBE
    if process in topic.config_readers or process == OPERATORS:
        yield Operation.DESCRIBE_CONFIGS


def _process(party: str) -> str:
    return party.partition("/")[0]


async def missing_rights(client: dict[str, Any], rights: Sequence[Right]) -> list[Right]:
    """Those that the broker does not give us. A topic that is not there has none, and a broker before Kafka 2.8 does
    not tell. Raises KafkaError without a broker. `client`: arguments of an aiokafka client."""
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        topics = await topic_operations(admin, _names(rights, "topic"))
        groups = await group_operations(admin, _names(rights, "group"))
    except (NotImplementedError, IncompatibleBrokerVersion):
        return []
    finally:
        await admin.close()
    allowed = {"topic": topics, "group": groups}
    return [
        right for right in rights if right.operation not in allowed[right.kind].get(right.name, frozenset(Operation))
    ]


def _names(rights: Iterable[Right], kind: str) -> list[str]:
    return list(dict.fromkeys(right.name for right in rights if right.kind == kind))
