"""openapi.yaml as a judge of answers: which operation, which status, which content type, which body."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import yaml

from tests.support.judged import FOLDER
from tests.support.references import resolved

PATH = FOLDER / "openapi.yaml"
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


@lru_cache
def document() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(PATH.read_text())
    return read


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method in capitals, path, operation."""
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def followed(value: dict[str, Any]) -> dict[str, Any]:
    """What a $ref of the document leads to, or the value itself."""
    if "$ref" not in value:
        return value
    found: dict[str, Any] = resolved(PATH, value["$ref"])
    return found


def judge(schema: dict[str, Any]) -> Any:
    """A validator of a schema that stands in the document; references lead to the files beside it."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    whole["components"] = document()["components"]

    def retrieve(uri: str) -> Any:
        return resolved(FOLDER / uri.rpartition("/schemas/")[2], "#")

    return jsonschema_rs.validator_for(whole, base_uri=PATH.as_uri(), retriever=retrieve, validate_formats=True)


def answer_faults(operation: dict[str, Any], answer: httpx.Response) -> list[str]:
    """What of an answer is not as its operation says."""
    told = operation["responses"].get(str(answer.status_code))
    if told is None:
        return [f"{answer.status_code} is not documented"]
    response = followed(told)
    headers = response.get("headers", {})
    given = {name: answer.headers[name] for name in headers if name in answer.headers}
    faults = [f"without {name}" for name, header in headers.items() if header["required"] and name not in given]
    for name, value in given.items():
        faults += [error.message for error in judge(headers[name]["schema"]).iter_errors(value)]
    return faults + _body_faults(response.get("content", {}), answer)


def _body_faults(content: dict[str, Any], answer: httpx.Response) -> list[str]:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if not content:
        return [] if not answer.content and not kind else ["a body where none is documented"]
    if kind not in content:
        return [f"content type {kind}"]
    body = msgspec.json.decode(answer.content) if kind.endswith("json") else answer.text
    status = [] if not kind.endswith("problem+json") or body["status"] == answer.status_code else ["another status"]
    return [error.message for error in judge(content[kind]["schema"]).iter_errors(body)] + status
