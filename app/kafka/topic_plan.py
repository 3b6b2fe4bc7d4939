"""Topics as declared against topics as they are: what to create, what to alter. Nothing is ever deleted."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.records.topics import Topic

MAX_BYTES, MIN_ISR = "max.message.bytes", "min.insync.replicas"
# Of these a larger value than the declared one is as good.
AT_LEAST = (MAX_BYTES, MIN_ISR)


class TopicChange(msgspec.Struct, frozen=True, kw_only=True):
    """`action`: create, alter, or refuse (an operator must decide); `detail` says what, from what to what."""

    topic: str
    action: str
    detail: str
    config: dict[str, str] = {}


class TopicPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What `apply` would do. `refused` changes stop it."""

    changes: tuple[TopicChange, ...]

    @property
    def refused(self) -> tuple[TopicChange, ...]:
        """Changes that are not ours to make."""
        return tuple(change for change in self.changes if change.action == "refuse")


async def plan(admin: AIOKafkaAdminClient, topics: Mapping[str, Topic], partitions: int, replication: int) -> TopicPlan:
    """Compare declaration and broker."""
    wanted = {topic.name: replicated(topic, replication) for topic in topics.values()}
    cluster = await admin.describe_cluster()
    brokers = len(cluster["brokers"])
    existing = {t["topic"]: t for t in await admin.describe_topics() if t["topic"] in wanted}
    configs = await _configs(admin, list(existing))
    changes: list[TopicChange] = []
    if replication > brokers:
        detail = f"replication factor {replication} needs as many brokers; the cluster has {brokers}"
        changes.append(TopicChange(topic="*", action="refuse", detail=detail))
    for name, topic in wanted.items():
        if name not in existing:
            detail = f"{partitions} partitions, replication {replication}"
            changes.append(TopicChange(topic=name, action="create", detail=detail, config=topic.config))
        else:
            changes += _differences(topic, existing[name], configs[name], partitions, replication)
    return TopicPlan(changes=tuple(changes))


def replicated(topic: Topic, replication: int) -> Topic:
    """The topic with what keeps an acknowledged record where it has several replicas.

    With three and more, two have each record before it is acknowledged, and a replica that lacks some never leads: no
    one broker's loss loses any. With two, one must do, or the loss of a broker would stop all writing.
    """
    if replication < 2:
        return topic
    durable = {MIN_ISR: str(min(2, replication - 1)), "unclean.leader.election.enable": "false"}
    return msgspec.structs.replace(topic, config=topic.config | durable)


def _differences(
    topic: Topic, found: Mapping[str, Any], config: Mapping[str, str], partitions: int, replication: int
) -> list[TopicChange]:
    changes = []
    count = len(found["partitions"])
    if count != partitions:
        detail = f"has {count} partitions, {partitions} wanted: a core topic keeps its count for life"
        changes.append(TopicChange(topic=topic.name, action="refuse", detail=detail))
    factors = sorted({len(p["replicas"]) for p in found["partitions"]})
    if factors != [replication]:
        detail = f"has replication {factors}, {replication} wanted: reassign its replicas"
        changes.append(TopicChange(topic=topic.name, action="refuse", detail=detail))
    differing = {key: value for key, value in topic.config.items() if not _as_good(key, config.get(key), value)}
    if differing:
        detail = ", ".join(f"{key} {config.get(key)} -> {value}" for key, value in differing.items())
        changes.append(TopicChange(topic=topic.name, action="alter", detail=detail, config=differing))
    return changes


def _as_good(key: str, found: str | None, wanted: str) -> bool:
    """Whether a setting need not be altered. A size limit is the least that must fit: a larger one, which an operator
    raised, stays, for records that it let in may be there that must be copied and written again. More replicas that
    must have a record before it is acknowledged stay, too."""
    if key in AT_LEAST and found is not None and found.isdecimal():
        return int(found) >= int(wanted)
    return found == wanted


async def apply(admin: AIOKafkaAdminClient, todo: TopicPlan, partitions: int, replication: int) -> None:
    """Carry out creations and alterations. Raises KafkaError subclasses as the broker answers."""
    new = [
        NewTopic(change.topic, partitions, replication, topic_configs=change.config)
        for change in todo.changes
        if change.action == "create"
    ]
    if new:
        _check(await admin.create_topics(new))
    for change in todo.changes:
        if change.action == "alter":
            current = (await _configs(admin, [change.topic], only_set=True))[change.topic]
            resource = ConfigResource(ConfigResourceType.TOPIC, change.topic, configs={**current, **change.config})
            await admin.alter_configs([resource])


def _check(response: Any) -> None:
    failed = [
        (row[0], row[1], row[2] if len(row) > 2 else "") for row in response.topic_errors if row[1] not in (0, 36)
    ]
    if failed:
        raise RuntimeError(f"topics not created: {failed}")


async def _configs(
    admin: AIOKafkaAdminClient, names: list[str], *, only_set: bool = False
) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for resource in answer.resources:
            _, _, _, name, entries = resource[:5]
            # source 1: set on the topic itself (DescribeConfigs v1 and later)
            found[name] = {e[0]: e[1] for e in entries if not only_set or e[3] in (1, False)}
    return found
