"""asyncapi.yaml: every topic, who writes and reads it, and no reference that leads nowhere."""

import re
from pathlib import Path

import pytest

from app.records.topics import Topic, declared
from tests.support.judged import FOLDER, asyncapi
from tests.support.references import DanglingReferenceError, references, resolved

TOPICS = {topic.name.replace("<app>-", "").replace("<tenant>", "tenant"): topic for topic in declared()}


def test_every_reference_leads_somewhere_in_this_file_or_in_a_schema_beside_it() -> None:
    found = list(references(asyncapi()))
    assert len(found) > 2 * len(TOPICS)
    for reference in found:
        assert resolved(FOLDER / "asyncapi.yaml", reference)


def test_a_reference_that_leads_nowhere_is_noticed() -> None:
    for reference in ("#/channels/nowhere", "./events/notify.guessed.v1.json", "./events/notify.outcome.v1.json#/x"):
        with pytest.raises(DanglingReferenceError):
            resolved(FOLDER / "asyncapi.yaml", reference)


def test_every_topic_is_a_channel_with_its_key_its_types_and_its_parties() -> None:
    document = asyncapi()
    assert list(document["channels"]) == list(TOPICS)
    for name, topic in TOPICS.items():
        channel = document["channels"][name]
        assert topic.key in channel["description"] and list(channel["messages"]) == list(topic.types)
        address = topic.name.replace("<app>", "{app}").replace("<tenant>", "{tenant}")
        assert channel["address"] in ("{prefix}" + address, address)
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])
        operations = [one for one in document["operations"].values() if one["channel"]["$ref"] == f"#/channels/{name}"]
        assert parties(operations, "send") == list(topic.writers) and parties(operations, "receive") == list(
            topic.readers
        )


def parties(operations: list[dict], action: str) -> list[str]:
    return [tag["name"] for one in operations if one["action"] == action for tag in one["tags"]]


def test_every_message_points_at_the_schema_of_its_type_and_names_its_headers() -> None:
    document = asyncapi()
    homes: dict[str, Topic] = {kind: topic for topic in TOPICS.values() for kind in topic.types}
    assert list(document["components"]["messages"]) == list(homes)
    for kind, message in document["components"]["messages"].items():
        payload = resolved(FOLDER / "asyncapi.yaml", message["payload"]["$ref"])
        assert payload["properties"]["type"] == {"const": kind} and message["name"] == kind
        assert ("headers" in message) == bool(homes[kind].cloudevents)
        assert message["bindings"]["kafka"]["key"]["description"] == homes[kind].key


def test_the_references_of_a_schema_stay_in_it() -> None:
    for path in sorted(Path(FOLDER / "events").iterdir()):
        for reference in references(resolved(path, "#")):
            assert reference.startswith("#/$defs/") and resolved(path, reference)
