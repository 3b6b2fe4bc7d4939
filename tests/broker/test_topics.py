"""`heliograph topics plan|apply` on a real broker: what is shown, what is carried out, what is refused."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from app.records.topics import Topics
from tests.support.commands import heliograph
from tests.support.engine_lab import until


class Cluster:
    """The broker's topics under a prefix of this test's own."""

    def __init__(self, kafka: str) -> None:
        self.prefix, self.admin = f"p{uuid.uuid4().hex[:8]}.", AdminClient({"bootstrap.servers": kafka})
        self.env = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "HELIOGRAPH_TOPIC_PREFIX": self.prefix,
            "HELIOGRAPH_PARTITIONS": "2",
        }
        self.declared = Topics(self.prefix, f"{self.prefix}heliograph", ["default"]).all

    def topics(self, words: str, **env: str) -> tuple[int, list[dict[str, str]]]:
        """Exit code and changes of `heliograph topics WORDS`."""
        done = heliograph("topics", words, "--json", **(self.env | env))
        return done.returncode, json.loads(done.stdout)["changes"]

    def standing(self) -> dict[str, int]:
        """Partitions by name."""
        found = self.admin.list_topics(timeout=10).topics
        return {name: len(topic.partitions) for name, topic in found.items() if name.startswith(self.prefix)}

    def config(self, name: str) -> dict[str, Any]:
        [future] = self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
        return {key: entry.value for key, entry in future.result().items()}

    def set(self, name: str, **config: str) -> None:
        entries = [
            ConfigEntry(key.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        done(self.admin.incremental_alter_configs([resource]))


def done(futures: dict[Any, Any]) -> None:
    for future in futures.values():
        future.result()


@pytest.fixture
def cluster(kafka: str) -> Iterator[Cluster]:
    made = Cluster(kafka)
    yield made
    if left := made.standing():
        done(made.admin.delete_topics(list(left)))


@pytest.fixture
def applied(cluster: Cluster) -> Cluster:
    assert cluster.topics("apply")[0] == 0
    until(lambda: len(cluster.standing()) == len(cluster.declared))
    return cluster


def test_a_plan_shows_what_is_missing_and_makes_nothing(cluster: Cluster) -> None:
    code, changes = cluster.topics("plan")
    assert code == 0 and {change["topic"] for change in changes} == {t.name for t in cluster.declared.values()}
    assert {(change["action"], change["detail"]) for change in changes} == {("create", "2 partitions, replication 1")}
    assert cluster.standing() == {}


def test_topics_are_made_as_declared_and_then_there_is_nothing_to_do(applied: Cluster) -> None:
    assert applied.standing() == dict.fromkeys((topic.name for topic in applied.declared.values()), 2)
    for topic in applied.declared.values():
        assert applied.config(topic.name).items() >= topic.config.items()
    assert applied.topics("plan") == applied.topics("apply") == (0, [])


def test_a_setting_that_differs_is_shown_then_altered_and_others_are_left_as_they_are(applied: Cluster) -> None:
    name = f"{applied.prefix}notify.outcomes"
    wanted = applied.declared["notify.outcomes"].config["retention.ms"]
    applied.set(name, retention_ms="1000", min_insync_replicas="1", segment_ms="77777")
    told = (0, [{"topic": name, "action": "alter", "detail": f"retention.ms 1000 -> {wanted}"}])
    assert applied.topics("plan") == told
    assert applied.config(name)["retention.ms"] == "1000"
    assert applied.topics("apply") == told
    until(lambda: applied.config(name)["retention.ms"] == wanted)
    assert applied.config(name)["segment.ms"] == "77777"


def test_a_size_limit_that_was_raised_by_hand_stays_and_one_that_is_too_small_is_raised(applied: Cluster) -> None:
    raised, small = (applied.declared[f"<app>-{table}-changelog"] for table in ("contacts", "messages"))
    wanted = small.config["max.message.bytes"]
    applied.set(raised.name, max_message_bytes="10485760")
    applied.set(small.name, max_message_bytes="1000000")
    detail = f"max.message.bytes 1000000 -> {wanted}"
    assert applied.topics("apply") == (0, [{"topic": small.name, "action": "alter", "detail": detail}])
    until(lambda: applied.config(small.name)["max.message.bytes"] == wanted)
    assert applied.topics("plan") == (0, [])
    assert applied.config(raised.name)["max.message.bytes"] == "10485760"


def test_another_partition_count_is_refused_and_nothing_else_is_done_then(applied: Cluster) -> None:
    name, missing = f"{applied.prefix}contacts", f"{applied.prefix}notify.metrics"
    done(applied.admin.create_partitions([NewPartitions(name, 3)]))
    done(applied.admin.delete_topics([missing]))
    until(lambda: applied.standing().get(name) == 3 and missing not in applied.standing())
    for words in ("plan", "apply"):
        code, changes = applied.topics(words)
        refused = [change for change in changes if change["action"] == "refuse"]
        assert code == 1 and [change["topic"] for change in refused] == [name]
        assert refused[0]["detail"] == "has 3 partitions, 2 wanted: a core topic keeps its count for life"
        assert [change["topic"] for change in changes if change["action"] == "create"] == [missing]
    assert missing not in applied.standing()


def test_more_replicas_than_brokers_and_another_factor_than_wanted_are_refused(applied: Cluster) -> None:
    code, changes = applied.topics("apply", HELIOGRAPH_REPLICATION="3")
    details = {change["topic"]: change["detail"] for change in changes if change["action"] == "refuse"}
    assert code == 1 and details.keys() == {"*", *applied.standing()}
    assert details["*"] == "replication factor 3 needs as many brokers; the cluster has 1"
    assert details[f"{applied.prefix}contacts"] == "has replication [1], 3 wanted: reassign its replicas"


def test_a_topic_that_is_not_declared_is_nobodys_business(cluster: Cluster) -> None:
    other = f"{cluster.prefix}of-somebody-else"
    done(cluster.admin.create_topics([NewTopic(other, 5, 1)]))
    assert cluster.topics("apply")[0] == 0
    until(lambda: len(cluster.standing()) == len(cluster.declared) + 1)
    assert cluster.standing()[other] == 5
