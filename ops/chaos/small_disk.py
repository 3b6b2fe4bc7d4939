"""A small disk: a tmpfs mount, which takes root."""

import subprocess
from pathlib import Path

WORKER_MB, BROKER_MB = 96, 512
CHUNK = 1 << 20


class MountError(Exception):
    """A tmpfs could not be mounted: the command must run as root."""


class SmallDisk:
    """A tmpfs of `megabytes` at `path`, which is made. Raises MountError."""

    def __init__(self, path: Path, megabytes: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path, self._ballast = path, path / "ballast"
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "heliograph-chaos", str(path))

    def fill(self) -> None:
        """Until nothing more fits; called again when something was freed."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (CHUNK, 4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue  # it is full, as far as pieces of this size go

    def free(self) -> None:
        """There is room again."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """What it held is gone, even if a process still has it open. Raises MountError."""
        _run("umount", "-l", str(self.path))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MountError(f"{command[0]} failed: {done.stderr.strip()}")
