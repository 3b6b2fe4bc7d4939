"""Stores on disk that RocksDB cannot open: all of them is on the changelog, so the worker goes on without an operator."""

import os

from tests.broker.test_engine import counts, expected_counts, folded
from tests.support.engine_lab import EngineLab, until


def test_a_store_that_cannot_be_opened_is_moved_aside_and_restored_in_full(lab: EngineLab) -> None:
    folded(lab, 400)
    assert until_idle(lab) == 0  # RocksDB writes the rows of its log to tables when it opens
    tables = sorted((lab.path / "a").rglob("*.sst"))
    assert tables
    for table in tables:
        os.truncate(table, table.stat().st_size // 2)
    lab.produce(100, start=400)
    toy = lab.toy("a")
    until(lambda: lab.committed() >= 500)
    assert toy.stop() == 0 and counts(lab) == expected_counts(500)
    damaged = {table.parent.name for table in tables}
    text = toy.output.read_text()
    assert all(f'"store":"{name}"' in text for name in damaged)
    assert {path.name for path in (lab.path / "a").rglob("*.damaged")} == {f"{name}.damaged" for name in damaged}


def until_idle(lab: EngineLab) -> int:
    """Its exit code."""
    toy = lab.toy("a")
    until(lambda: len(lab.notes("assigned")) == 2 * lab.partitions)
    return toy.stop()
