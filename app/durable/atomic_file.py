"""Atomic replacement of small files: after a power failure a file has its old content or its new one."""

import os
from pathlib import Path

from app.durable.framed_file import sync_directory


def write_durably(path: Path, content: bytes) -> None:
    """Replace `path` atomically; content and directory entry are fsynced on return. Raises OSError."""
    aside = path.with_name(f"{path.name}.new")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_directory(path.parent)
