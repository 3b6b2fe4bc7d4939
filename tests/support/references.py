"""References between the files of the folder `schemas`, followed by hand."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml


class DanglingReferenceError(Exception):
    """The reference leads nowhere."""


def references(value: Any) -> Iterator[str]:
    """Every $ref of a document, as it is written."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if isinstance(found := value.get("$ref"), str):
            yield found
        for item in value.values():
            yield from references(item)


def resolved(path: Path, reference: str) -> Any:
    """What a $ref that stands in the file at `path` leads to. Raises Dangling."""
    file, _, pointer = reference.partition("#")
    found = _read((path.parent / file).resolve() if file else path.resolve())
    for step in pointer.strip("/").split("/") if pointer.strip("/") else ():
        name = step.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(name) if isinstance(found, list) else name]
        except (LookupError, TypeError, ValueError):
            raise DanglingReferenceError(f"{path.name}: {reference}") from None
    return found


@lru_cache
def _read(path: Path) -> Any:
    """JSON is YAML."""
    if not path.exists():
        raise DanglingReferenceError(str(path))
    return yaml.safe_load(path.read_text())
