"""Records judged by their published schemas, with a library that shares nothing with the code that makes them."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

FOLDER = Path(__file__).parents[2] / "schemas"
KINDS = sorted(path.name.removesuffix(".json") for path in (FOLDER / "events").iterdir())


def schema(kind: str) -> dict[str, Any]:
    """As committed."""
    read: dict[str, Any] = json.loads((FOLDER / "events" / f"{kind}.json").read_text())
    return read


def closed(value: Any) -> Any:
    """The schema, refusing what it does not name: what readers ignore must still be published before it is written."""
    if isinstance(value, list):
        return [closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {name: closed(item) for name, item in value.items()}
    shut = value.get("type") == "object" and "properties" in value
    return inner | {"additionalProperties": False} if shut else inner


@lru_cache
def _judge(kind: str) -> Any:
    return jsonschema_rs.validator_for(closed(schema(kind)), validate_formats=True)


def faults(record: dict[str, Any]) -> list[str]:
    """What is wrong with a record by the schema of its `type`, which must be published."""
    return [error.message for error in _judge(record["type"]).iter_errors(record)]


@lru_cache
def asyncapi() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text())
    return read


def header_faults(record: dict[str, Any], headers: dict[str, bytes]) -> list[str]:
    """What is wrong with a record's headers by its message in asyncapi.yaml; one that declares none has none."""
    components = asyncapi()["components"]
    declared = components["messages"][record["type"]].get("headers", {"type": "object", "maxProperties": 0})
    judge = jsonschema_rs.validator_for({**declared, "components": components}, validate_formats=True)
    given = {name: value.decode() for name, value in headers.items()}
    told = {"ce_id": record.get("id"), "ce_time": record.get("at")}
    differing = [name for name, value in given.items() if name in told and told[name] != value]
    return [error.message for error in judge.iter_errors(given)] + differing
