"""Small files of the data directory that a power cut leaves whole: the old content or the new one."""

import os
from pathlib import Path

from app.durable.framed_file import sync_directory


def write_durably(path: Path, content: bytes) -> None:
    """Replace the file at once; on disk, its name too, when it returns. Raises OSError."""
    aside = path.with_name(f"{path.name}.new")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_directory(path.parent)
