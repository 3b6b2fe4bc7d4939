"""The data directory: one process at a time, and a membership of the group that survives a restart.

It holds `lock` (flock, taken before the group is joined), `member` (the random static-membership id), `used` (touched
while running), `tables/` and the journal. Rows older than half of the changelogs' `delete.retention.ms` could miss
tombstones that were compacted away meanwhile: such tables are wiped and restored from the changelog.
"""

import fcntl
import os
import shutil
from pathlib import Path

from app import clock
from app.streams.engine.durable_file import write_durably
from app.streams.engine.exits import CONFIG, die


class DataDir:
    """See the module. Ends the process (exit 78) if another one holds the directory."""

    def __init__(self, path: Path, tables_good_for_ms: int) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            die("the data directory is used by another process; give each worker its own", CONFIG)
        self.wiped = self._wipe_stale(tables_good_for_ms)
        self.member = self._member()
        self.touch()

    @property
    def tables(self) -> Path:
        """Where Faust keeps its stores."""
        return self.path / "tables"

    def touch(self) -> None:
        """The tables are in use now."""
        (self.path / "used").write_text(str(clock.now_ms()))

    def _wipe_stale(self, good_for_ms: int) -> bool:
        used = self.path / "used"
        if not used.exists() or clock.now_ms() - int(used.read_text() or 0) <= good_for_ms:
            return False
        shutil.rmtree(self.tables, ignore_errors=True)
        return True

    def _member(self) -> str:
        member = self.path / "member"
        if not member.exists() or not member.read_text():  # one of an older build may be empty after a power cut
            write_durably(member, clock.new_id().encode())
        return member.read_text()
