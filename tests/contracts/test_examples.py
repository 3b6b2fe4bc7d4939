"""The examples are records: by their schemas, by the structs that read them, and by the rules of a request."""

import json
from typing import Any

import msgspec
import pytest

from app.domain.model.vocabulary import OutcomeWord
from app.records.registry import STRUCTS
from app.records.requests import read_request
from tests.support.judged import FOLDER, KINDS, faults

EXAMPLES: dict[str, dict[str, Any]] = {
    path.name.removesuffix(".json"): json.loads(path.read_text()) for path in (FOLDER / "examples").iterdir()
}
EVERY = [(kind, name) for kind, named in sorted(EXAMPLES.items()) for name in named]


def test_every_type_has_an_example_and_no_example_is_of_another_type() -> None:
    assert sorted(EXAMPLES) == KINDS
    assert [(kind, name) for kind, name in EVERY if EXAMPLES[kind][name]["type"] != kind] == []


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_an_example_holds_what_its_schema_says(kind: str, name: str) -> None:
    assert faults(EXAMPLES[kind][name]) == []


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k, n in EVERY if k not in ("notify.requested.v1", "notify.canceled.v1")]
)
def test_an_example_is_as_heliograph_itself_would_write_it(kind: str, name: str) -> None:
    example = EXAMPLES[kind][name]
    read = msgspec.convert(example, STRUCTS[kind])
    assert json.loads(msgspec.json.encode(read)) == example


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k, n in EVERY if k in ("notify.requested.v1", "notify.canceled.v1")]
)
def test_an_example_of_a_request_is_taken(kind: str, name: str) -> None:
    assert isinstance(read_request(json.dumps(EXAMPLES[kind][name]).encode()), STRUCTS[kind])


def test_there_is_an_outcome_for_every_word_and_a_request_in_full() -> None:
    assert {told["outcome"] for told in EXAMPLES["notify.outcome.v1"].values()} == set(OutcomeWord)
    asked = EXAMPLES["notify.requested.v1"]
    assert set(asked["full"]) == {"type", *STRUCTS["notify.requested.v1"].__struct_fields__} - {"fallback"}
    assert set(asked["smallest"]) == {"type", "to", "body"}
