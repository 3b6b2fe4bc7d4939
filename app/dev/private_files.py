"""Files that their owner alone may read: logs and data of development processes hold what real ones hold."""

import os
from pathlib import Path
from typing import BinaryIO

UMASK = 0o077  # of child processes


def append_to(path: Path) -> BinaryIO:
    """A file of mode 600 opened to append to, also one that was there with another mode. Raises OSError."""
    file = open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115 - the caller closes it
    os.fchmod(file.fileno(), 0o600)
    return file
