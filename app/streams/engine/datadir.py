"""The data directory: one process at a time, and a membership of the group that survives a restart.

It holds `lock` (flock, taken before the group is joined), `member` (the random static-membership id), `tables/` and the
journal. Whether a table in it is fresh enough to be brought up to date is asked for each partition (see `freshness`).
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import structlog

from app import clock
from app.durable.atomic_file import write_durably
from app.streams.engine.process_exit import CONFIG, die

_MEMBER = re.compile(rb"[0-9a-f]{32}")
_log = structlog.get_logger("app.streams.engine")


class DataDir:
    """Ends the process (exit 78) if another one holds the directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            die("the data directory is used by another process; give each worker its own", CONFIG)
        self.member = self._member()

    def member_reading(self, topics: Sequence[str]) -> str:
        """The static-membership id of a process that reads these topics.

        Kafka gives a static member that comes back its former partitions without a rebalance, although it subscribes to
        other topics now (KIP-345): partitions of a new topic would be nobody's until the next rebalance. Under another
        id it is a new member; the rebalance begins when the session of the former one has timed out.
        """
        subscription = hashlib.sha256("\n".join(sorted(topics)).encode()).hexdigest()
        return f"{self.member}-{subscription[:8]}"

    @property
    def tables(self) -> Path:
        """Where Faust keeps its stores."""
        return self.path / "tables"

    def _member(self) -> str:
        """The id on disk; a new one where there is none, or a damaged one: the group then waits for the former member
        to time out."""
        path = self.path / "member"
        found = path.read_bytes() if path.exists() else b""
        if _MEMBER.fullmatch(found):
            return found.decode()
        if found:
            _log.error("datadir.member_damaged", file=path.name, todo="joins its group as a new member")
        write_durably(path, (member := clock.new_id()).encode())
        return member
