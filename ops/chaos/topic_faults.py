"""Faults of topics: compaction and retention in short segments, and a topic that is deleted and made again."""

import asyncio
import signal
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from app.dev.dev_cluster import apply_topics
from app.records.topics import Topics
from ops.chaos.ground import READY_S, Ground
from ops.chaos.processes import DiskLost
from ops.chaos.stand import PARTITIONS, PREFIX, Stand
from ops.chaos.tenants_file import REQUEST_TOPICS

# Segments that end after a second, so that the cleaner may have them, and tombstones that go soon. The product reads
# from the topic how long tombstones are kept.
SHORT = {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "2000"}
COMPACTED_S, CAUGHT_UP_S, ANSWER_S, LOOK_S = 30.0, 30.0, 20.0, 0.3
# Read once by the workers, and by nothing of the harness.
READ_ONCE = (*REQUEST_TOPICS, "lanes", "bulk")
RECREATED = "bulk"
CONFIG_EXIT, WORDS = 78, "the topic was re-created"
# What is said of a group with members.
HAS_MEMBERS = (KafkaError.NON_EMPTY_GROUP, KafkaError.UNKNOWN_MEMBER_ID)

Place = tuple[str, int]


class Compaction:
    """Every compacted topic is compacted, what was read of the others is deleted, and a worker loses its disk: its rows
    come back from what compaction left."""

    lasts_s = 1.0

    def __init__(self) -> None:
        self._disk = DiskLost()

    async def do(self, ground: Ground) -> None:
        """Shorten the segments, wait for the cleaner, delete what was read, and take a disk away."""
        self._topics = _compacted(ground.stand)
        await asyncio.to_thread(_alter, ground.stand.servers, dict.fromkeys(self._topics, SHORT))
        before, end = cleaned(ground.stand), time.monotonic() + COMPACTED_S
        rows = [(name, n) for name in self._topics if "contacts-changelog" in name for n in range(PARTITIONS)]
        while not any(cleaned(ground.stand).get(place, 0) > before.get(place, 0) for place in rows):
            if time.monotonic() > end:
                ground.miss("broker", "the cleaner")
                break
            await asyncio.sleep(LOOK_S)
        deleted = await asyncio.to_thread(_delete_read, ground.stand)
        ground.diary.note("compacted", topics=sorted(self._topics), deleted=deleted)
        await self._disk.do(ground)

    async def undo(self, ground: Ground) -> None:
        """The worker comes back; segments are as declared again, once its rows are restored."""
        await self._disk.undo(ground)
        await ground.stand.ready("worker-1", READY_S)
        await ground.stand.ready("worker-2", READY_S)
        await asyncio.to_thread(_alter, ground.stand.servers, self._topics)


class TopicRecreated:
    """Topic `bulk` is deleted and made again while nothing waits on it. A worker must refuse to start on it, with a
    clear message; an operator says where to begin, as the runbook has it, and both go on."""

    lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """Make it anew, and start a worker on it."""
        stand = ground.stand
        name = ground.worker()
        if not await asyncio.to_thread(_until_read, stand, RECREATED):
            ground.miss(name, f"nothing on {RECREATED}")
            return
        await asyncio.to_thread(_delete_topic, stand, PREFIX + RECREATED)
        await apply_topics(stand.environment(""))
        stand.down |= {"worker-1", "worker-2"}
        await ground.end(name)
        await asyncio.sleep(0.2)
        stand.parts[name].start()
        if not await ground.dead(name, READY_S):
            ground.problems.append(f"{name} went on with a {RECREATED} that was re-created")
            return
        part = stand.parts[name]
        if part.dead() != CONFIG_EXIT or WORDS not in part.last_line():
            ground.problems.append(f"{name} did not refuse the re-created {RECREATED}: {part.last_line()}")

    async def undo(self, ground: Ground) -> None:
        """Stop the workers, set the group's offsets on the topic to the earliest, and start them."""
        stand = ground.stand
        if not {"worker-1", "worker-2"} <= stand.down:
            return
        for name in ("worker-1", "worker-2"):
            if stand.parts[name].dead() is None:
                stand.parts[name].signal(signal.SIGTERM)
                await ground.dead(name, READY_S)
        if not await asyncio.to_thread(_to_earliest, stand, PREFIX + RECREATED):
            ground.problems.append(f"the offsets of {RECREATED} could not be set")
        stand.down -= {"worker-1", "worker-2"}


def cleaned(stand: Stand) -> dict[Place, int]:
    """Up to where the broker's cleaner has been, by its own checkpoints."""
    found: dict[Place, int] = {}
    for file in stand.directory.glob("kafka*/data/cleaner-offset-checkpoint"):
        for line in file.read_text().splitlines()[2:]:
            topic, partition, offset = line.split()
            place = topic, int(partition)
            found[place] = max(found.get(place, 0), int(offset))
    return found


def _declared(stand: Stand) -> dict[str, dict[str, str]]:
    """Settings of each topic by its real name."""
    settings = stand.settings()
    return {topic.name: dict(topic.config) for topic in Topics(settings.topic_prefix, settings.group).all.values()}


def _compacted(stand: Stand) -> dict[str, dict[str, str]]:
    return {name: config for name, config in _declared(stand).items() if "compact" in config["cleanup.policy"]}


def _admin(servers: str) -> AdminClient:
    """To be kept until what was asked of it is done: its end cancels that."""
    return AdminClient({"bootstrap.servers": servers, "log_level": 0})


def _alter(servers: str, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Set what SHORT names as `wanted` has it by topic; what that does not name is the broker's default."""
    resources = [
        ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[_entry(name, config) for name in SHORT])
        for topic, config in wanted.items()
    ]
    admin = _admin(servers)
    _done(admin.incremental_alter_configs(resources).values())


def _entry(name: str, config: Mapping[str, str]) -> ConfigEntry:
    operation = AlterConfigOpType.SET if name in config else AlterConfigOpType.DELETE
    return ConfigEntry(name, config.get(name, ""), incremental_operation=operation)


def _done(answers: Iterable["Future[Any]"]) -> list[Any]:
    """Raises KafkaException."""
    return [answer.result(ANSWER_S) for answer in answers]


def _commits(stand: Stand, names: Iterable[str]) -> dict[Place, int]:
    """Committed offsets of the workers' group."""
    asked = [ConsumerGroupTopicPartitions(stand.settings().group)]
    admin = _admin(stand.servers)
    [group] = _done(admin.list_consumer_group_offsets(asked).values())
    wanted = {PREFIX + name for name in names}
    return {(p.topic, p.partition): p.offset for p in group.topic_partitions if p.topic in wanted and p.offset >= 0}


def _delete_read(stand: Stand) -> int:
    """Delete what the group has committed, as retention does with what is old. How many partitions that were.

    By commit and not by age: a worker that is late on a busy machine must not lose what it has not read.
    """
    places = [TopicPartition(topic, n, offset) for (topic, n), offset in _commits(stand, READ_ONCE).items() if offset]
    if places:
        admin = _admin(stand.servers)
        _done(admin.delete_records(places).values())
    return len(places)


def _until_read(stand: Stand, name: str) -> bool:
    """Whether the group has committed all of a topic, in time."""
    consumer = Consumer({"bootstrap.servers": stand.servers, "group.id": "chaos-ends"})
    end = time.monotonic() + CAUGHT_UP_S
    try:
        while time.monotonic() < end:
            commits = _commits(stand, [name])
            places = [TopicPartition(PREFIX + name, n) for n in range(PARTITIONS)]
            ends = {(p.topic, p.partition): consumer.get_watermark_offsets(p, ANSWER_S)[1] for p in places}
            if all(commits.get(place, 0) >= offset for place, offset in ends.items()):
                return True
            time.sleep(LOOK_S)
    finally:
        consumer.close()
    return False


def _delete_topic(stand: Stand, name: str) -> None:
    """Until the broker knows it no more."""
    admin = _admin(stand.servers)
    _done(admin.delete_topics([name]).values())
    end = time.monotonic() + ANSWER_S
    while name in admin.list_topics(timeout=ANSWER_S).topics and time.monotonic() < end:
        time.sleep(LOOK_S)


def _to_earliest(stand: Stand, name: str) -> bool:
    """Set the group's offsets; it must have no member, so this is tried until the session of a killed one is over."""
    wanted = ConsumerGroupTopicPartitions(
        stand.settings().group, [TopicPartition(name, n, 0) for n in range(PARTITIONS)]
    )
    admin, end = _admin(stand.servers), time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            [group] = _done(admin.alter_consumer_group_offsets([wanted]).values())
            refused = [place.error for place in group.topic_partitions if place.error is not None]
        except KafkaException as error:
            refused = [error.args[0]]
        if not refused:
            return True
        if any(error.code() not in HAS_MEMBERS for error in refused):
            raise KafkaException(refused[0])
        time.sleep(LOOK_S)
    return False
