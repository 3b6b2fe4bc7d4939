"""The diary: what the harness did and saw, one JSON object a line, each with `did` and `at` (ms since the epoch)."""

import time
from pathlib import Path
from typing import Any

import orjson

Entry = dict[str, Any]


class Diary:
    """Appends; a line is in the file when `note` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab", buffering=0)

    def note(self, did: str, **what: Any) -> None:
        """One line."""
        self._file.write(orjson.dumps({"did": did, "at": now_ms(), **what}) + b"\n")

    def close(self) -> None:
        """No further line."""
        self._file.close()


def read_diary(path: Path) -> list[Entry]:
    """Every line in order."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def now_ms() -> int:
    """Wall time, ms since the epoch."""
    return time.time_ns() // 1_000_000
