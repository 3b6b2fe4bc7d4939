"""The published form of every record: JSON Schema 2020-12 per type, from the structs that write and read it.

A schema is open: writers may add fields within a version, and readers ignore what they do not know.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from app.records.registry import STRUCTS
from app.records.requests import CONTENT_RULE

# Rules over several fields, which no struct can say.
_RULES: Mapping[str, Mapping[str, Any]] = {"notify.requested.v1": CONTENT_RULE}


def event_schema(kind: str) -> dict[str, Any]:
    """The schema of record type `kind`, the struct's own definition at its top. Raises KeyError."""
    whole = msgspec.json.schema(STRUCTS[kind])
    definitions = whole["$defs"]
    own = definitions.pop(whole["$ref"].rpartition("/")[2])
    own["properties"]["type"] = {"const": kind}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{kind}.json"}
    schema = head | own | _RULES.get(kind, {}) | ({"$defs": definitions} if definitions else {})
    tidied: dict[str, Any] = _tidied(schema)
    return tidied


def _tidied(value: Any) -> Any:
    """Descriptions in one line, as a docstring's line breaks mean nothing."""
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidied = {name: _tidied(item) for name, item in value.items()}
    if isinstance(said := value.get("description"), str):
        tidied["description"] = " ".join(said.split())
    return tidied


def generated() -> dict[str, str]:
    """Every generated file of the folder `schemas`, by its path in there."""
    from app.records.asyncapi import asyncapi_text

    events = {f"events/{kind}.json": json.dumps(event_schema(kind), indent=2, ensure_ascii=False) for kind in STRUCTS}
    return {path: f"{text}\n" for path, text in events.items()} | {"asyncapi.yaml": asyncapi_text()}


def states(folder: Path) -> dict[str, str]:
    """Each generated path in `folder`: same, differs, missing; or stray, of a type that no topic has."""
    wanted = generated()
    found = {path: _state(folder / path, text) for path, text in wanted.items()}
    there = {f"events/{path.name}" for path in (folder / "events").glob("*")}
    return found | dict.fromkeys(sorted(there - set(wanted)), "stray")


def write(folder: Path) -> dict[str, str]:
    """As `states`, but what differed or was missing is written now. Nothing is deleted. Raises OSError."""
    found, wanted = states(folder), generated()
    for path, state in found.items():
        if state in ("differs", "missing"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(wanted[path], encoding="utf-8")
            found[path] = "written"
    return found


def _state(path: Path, text: str) -> str:
    if not path.exists():
        return "missing"
    return "same" if path.read_bytes() == text.encode() else "differs"
