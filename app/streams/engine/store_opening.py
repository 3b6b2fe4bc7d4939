"""Opening the store of a changelog partition. One that cannot be opened is made anew: all of it is on the changelog."""

import shutil
from pathlib import Path
from typing import Any

import structlog

from app.streams.engine.process_exit import die

# Beside the store, for whoever wants to know what damaged it; the next one takes its place.
ASIDE = ".damaged"

_log = structlog.get_logger("app.streams.engine")


def open_store(store: Any, partition: int) -> Any:
    """RocksDB of a partition, opened; empty if the one on disk could not be, and then restored in full.

    Args:
        store: Faust's store of the table.
        partition: its number.

    Ends the process (exit 70) if an empty one cannot be opened either: then it is the disk, not the store.
    """
    try:
        return store._db_for_partition(partition)
    except Exception as error:  # noqa: BLE001 - RocksDB raises plain exceptions
        _move_aside(Path(store.partition_path(partition)), error)
    try:
        return store._db_for_partition(partition)
    except Exception as error:  # noqa: BLE001 - RocksDB raises plain exceptions
        die(f"the store {store.partition_path(partition).name} cannot be made anew: {str(error)[:200]}")


def _move_aside(path: Path, error: Exception) -> None:
    aside = path.with_name(path.name + ASIDE)
    _log.error("store.damaged", store=path.name, moved_to=aside.name, error=str(error)[:200], todo="restored in full")
    try:
        if aside.exists():
            shutil.rmtree(aside)
        if path.exists():
            path.rename(aside)
    except OSError as fault:
        die(f"the store {path.name} cannot be opened, nor moved aside: {type(fault).__name__}")
