"""The published schemas: in step with the structs, one for every type of every topic, none left over."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from app.records import schemas
from app.records.topics import declared
from tests.support.commands import heliograph
from tests.support.judged import FOLDER, KINDS, closed, faults, schema

EXAMPLE = {"type": "notify.canceled.v1", "message_id": "0123456789abcdef0123-0123456789abcdef0123"}


@pytest.mark.parametrize("path", schemas.generated())
def test_a_schema_is_byte_for_byte_what_the_structs_say(path: str) -> None:
    assert (FOLDER / path).read_text() == schemas.generated()[path]


def test_every_type_of_every_topic_has_one_schema_and_none_is_left_over() -> None:
    types = {kind for topic in declared() for kind in topic.types}
    assert sorted(types) == KINDS == sorted(schemas.STRUCTS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one_of_2020_12_and_names_itself(kind: str) -> None:
    read = schema(kind)
    jsonschema_rs.meta.validate(read)
    assert read["$schema"].endswith("/2020-12/schema") and read["$id"] == f"{kind}.json"
    assert read["properties"]["type"] == {"const": kind} and "type" in read["required"]
    assert read["title"] and read["description"]


def undescribed(read: dict[str, Any]) -> list[str]:
    """Fields that neither say what they hold nor are of a type that does. What a boolean or `labels` says, its name does."""
    spoken = {"type", "changed", "taken", "labels", "metadata", "attempts", "value", "sum", "bounds", "buckets"}
    spoken |= {"channel", "address"}
    return [name for name, field in read["properties"].items() if name not in spoken and not says(field)]


def says(field: dict[str, Any]) -> bool:
    return (
        "description" in field
        or "$ref" in field
        or any(says(one) for one in field.get("anyOf", ()))
        or says_inside(field)
    )


def says_inside(field: dict[str, Any]) -> bool:
    return "items" in field and says(field["items"])


# The parts of a row, within a checkpoint: their docstrings say what they hold.
ROWS = {"Contact", "Consent", "NumberHealth", "Failure", "Message", "Attempt", "StatusStep"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_says_what_it_holds(kind: str) -> None:
    read = schema(kind)
    assert [
        undescribed(part)
        for part in (read, *read.get("$defs", {}).values())
        if "properties" in part and part.get("title") not in ROWS
        if undescribed(part)
    ] == []


def test_p8_a_sealed_field_is_marked_with_what_it_holds_and_its_associated_data() -> None:
    marked = {
        (kind, name)
        for kind in KINDS
        for part in (schema(kind), *schema(kind).get("$defs", {}).values())
        for name, field in part.get("properties", {}).items()
        if {"holds", "associated"} <= set(field.get("x-sealed", ()))
    }
    assert marked == {
        ("bulk.parked.v1", "payload"),
        ("contact.rejected.v1", "sealed_caller_fields"),
        ("contact.rejected.v1", "sealed_to"),
        ("contact.reported.v1", "raw"),
        ("contact.requested.v1", "sealed"),
        ("contact.requested.v1", "sealed_caller_fields"),
        ("contact.requested.v1", "sealed_to"),
        ("contact.texted.v1", "raw"),
        ("contact.texted.v1", "sealed"),
        ("notify.deadletter.v1", "envelope"),
        ("notify.deadletter.v1", "payload"),
        ("notify.outcome.v1", "sealed"),
        ("notify.received.v1", "sealed"),
    }


def test_the_judge_of_records_notices_what_is_missing_wrong_or_not_published() -> None:
    assert faults(EXAMPLE) == []
    for wrong in ({"message_id": "1"}, {"at": "yesterday"}, {"surprise": 1}, {"tenant": ""}):
        assert faults(EXAMPLE | wrong) != []
    assert faults({"type": "notify.canceled.v1"}) != []
    assert closed({"type": "object", "properties": {}})["additionalProperties"] is False


def test_the_command_writes_what_is_not_as_generated_and_deletes_nothing(tmp_path: Path) -> None:
    first = heliograph("schemas", "--check", "--dir", str(tmp_path), "--json")
    assert (first.returncode, json.loads(first.stdout)["problems"]) == (1, len(schemas.generated()))
    assert heliograph("schemas", "--dir", str(tmp_path)).returncode == 0
    old, changed = tmp_path / "events" / "notify.old.v1.json", tmp_path / "events" / "notify.outcome.v1.json"
    old.write_text("{}")
    changed.write_text("{}")
    checked = heliograph("schemas", "--check", "--dir", str(tmp_path), "--json")
    files = json.loads(checked.stdout)["files"]
    assert {path: state for path, state in files.items() if state != "same"} == {
        "events/notify.outcome.v1.json": "differs",
        "events/notify.old.v1.json": "stray",
    }
    again = heliograph("schemas", "--dir", str(tmp_path))
    assert again.returncode == 1 and "? events/notify.old.v1.json: stray" in again.stdout
    assert old.exists() and changed.read_text() == schemas.generated()["events/notify.outcome.v1.json"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    done = heliograph("schemas", "--dir", str(place))
    assert done.returncode == 2 and done.stderr.startswith(f"error: --dir: {place}: ")
