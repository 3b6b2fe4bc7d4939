"""What `topics plan` wants of a topic with several replicas, so that an acknowledged record is not lost."""

from typing import Any

import pytest

from app.kafka.topic_plan import plan
from app.records.topics import Topics

TOPICS = Topics("", "heliograph").all
CONTACTS = {"contacts": TOPICS["contacts"]}
DURABLE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}


class Resource:
    def __init__(self, config: dict[str, str]) -> None:
        self.resources = [(0, "", 2, "contacts", [(key, value, False, 5) for key, value in config.items()])]


class Admin:
    """A cluster of three brokers whose topic `contacts` has so many replicas and this configuration."""

    def __init__(self, replicas: int, config: dict[str, str] | None) -> None:
        self._replicas, self._config = replicas, config

    async def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [1, 2, 3]}

    async def describe_topics(self) -> list[dict[str, Any]]:
        if self._config is None:
            return []
        return [{"topic": "contacts", "partitions": [{"replicas": list(range(self._replicas))}] * 2}]

    async def describe_configs(self, resources: list[Any]) -> list[Resource]:
        return [Resource(CONTACTS["contacts"].config | (self._config or {}))]


async def changes(replicas: int, config: dict[str, str] | None) -> list[tuple[str, dict[str, str]]]:
    made = await plan(Admin(replicas, config), CONTACTS, 2, replicas)
    return [(change.action, change.config) for change in made.changes]


async def test_a_topic_of_three_replicas_is_made_with_two_that_must_have_each_record_and_no_unclean_leader() -> None:
    assert await changes(3, None) == [("create", CONTACTS["contacts"].config | DURABLE)]
    assert await changes(1, None) == [("create", CONTACTS["contacts"].config)]


@pytest.mark.parametrize(
    ("config", "altered"),
    [
        (DURABLE, {}),
        (DURABLE | {"min.insync.replicas": "3"}, {}),
        (DURABLE | {"min.insync.replicas": "1"}, {"min.insync.replicas": "2"}),
        (DURABLE | {"unclean.leader.election.enable": "true"}, {"unclean.leader.election.enable": "false"}),
        ({}, DURABLE),
    ],
)
async def test_what_differs_is_altered_and_what_is_safer_stays(config: dict[str, str], altered: dict[str, str]) -> None:
    assert await changes(3, config) == ([("alter", altered)] if altered else [])


async def test_with_two_replicas_the_loss_of_a_broker_does_not_stop_writing_and_with_one_nothing_is_wanted() -> None:
    assert await changes(2, DURABLE | {"min.insync.replicas": "1"}) == await changes(1, {}) == []
    assert await changes(2, {"min.insync.replicas": "1"}) == [("alter", {"unclean.leader.election.enable": "false"})]
