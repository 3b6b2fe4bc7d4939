"""Evidence in a file: JSON lines, compressed, so that a run can be judged again. See `evidence`.

What is sealed in records stands there as a digest: equal stays equal, and no text of the product is in the file.
"""

import base64
import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from ops.chaos.evidence import TOPICS, Evidence, Record, json_object

NAME = "evidence.jsonl.gz"
SETTINGS = ("claim_ttl_s", "grace_s", "look_after_s", "retries", "longest_retry_s", "prefix")
_SEALED = re.compile(rb'"[A-Za-z0-9]+\.[A-Za-z0-9_-]{40,}={0,2}"')


def save(seen: Evidence, path: Path) -> None:
    """Write the evidence to `path`."""
    # No name and no time in the header: the same evidence is the same file.
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        for line in _lines(seen):
            packed.write(orjson.dumps(line) + b"\n")


def _lines(seen: Evidence) -> Iterator[dict[str, Any]]:
    yield {"in": "settings"} | {name: getattr(seen, name) for name in SETTINGS}
    for create in seen.creates:
        yield {"in": "creates", "is": create}
    for entry in seen.diary:
        yield {"in": "diary", "is": entry}
    for topic, records in seen.topics.items():
        for record in records:
            yield {"in": topic, "at": record[:4], **_value(record)}


def _value(record: Record) -> dict[str, Any]:
    if not record.raw:
        return {"value": record.value}
    raw = _SEALED.sub(_digest, record.raw)
    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return {"bytes": base64.b64encode(raw).decode()}


def _digest(sealed: re.Match[bytes]) -> bytes:
    return b'"sealed.%b"' % hashlib.sha256(sealed[0]).hexdigest()[:12].encode()


def load(path: Path) -> Evidence:
    """The evidence in a file, or in a directory that has it. Raises OSError, ValueError, KeyError."""
    path = path / NAME if path.is_dir() else path
    topics: dict[str, list[Record]] = {name: [] for name in TOPICS}
    listed: dict[str, list[Any]] = {"creates": [], "diary": []}
    with gzip.open(path) as file:
        settings = orjson.loads(file.readline())
        for line in map(orjson.loads, file):
            if line["in"] in listed:
                listed[line["in"]].append(line["is"])
            else:
                topics[line["in"]].append(_record(line))
    settings.pop("in")
    return Evidence(topics, listed["creates"], listed["diary"], **settings)


def _record(line: dict[str, Any]) -> Record:
    partition, offset, at_ms, key = line["at"]
    if "value" in line:
        return Record(partition, offset, at_ms, key, b"", line["value"])
    raw = base64.b64decode(line["bytes"]) if "bytes" in line else line["text"].encode()
    return Record(partition, offset, at_ms, key, raw, json_object(raw))
