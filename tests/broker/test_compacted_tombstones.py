"""Rows that were deleted stay deleted, also where the tombstones that said so were compacted away meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine_lab import EngineLab, until

KEYS = [b"k%d" % n for n in range(50)]
KEPT = KEYS[40:]
# Segments are rolled and cleaned as soon as the broker looks, and a tombstone goes with the second look.
EAGER = {
    "message.timestamp.type": "LogAppendTime",
    "segment.ms": "300",
    "delete.retention.ms": "200",
    "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "300",
}


@pytest.fixture
def eager(kafka: str, tmp_path: Path) -> Iterator[EngineLab]:
    made = EngineLab(kafka, tmp_path, partitions=2, **EAGER)
    yield made
    made.close()


def compacted(lab: EngineLab) -> bool:
    """Whether the changelog has no word left of the keys that were deleted. Segments are rolled by what is appended."""
    lab.produce_to(KEPT)
    left = {key for _, _, key, _ in lab.read("app-state-changelog")}
    return not left & set(KEYS[:40])


def rows_of(lab: EngineLab, name: str) -> dict[int, int]:
    """By partition that the worker has now: how many rows it had when it got it."""
    had: dict[int, int] = {}
    for _, word, number, *more in (note for note in lab.notes("", name) if note[1] in ("assigned", "revoked")):
        if word == "assigned":
            had[int(number)] = int(more[0])
        else:
            had.pop(int(number), None)
    return had


def live_rows(lab: EngineLab) -> dict[int, int]:
    last = {(number, key): value for number, _, key, value in sorted(lab.read("app-state-changelog"))}
    return {n: sum(1 for (number, _), value in last.items() if number == n and value) for n in range(lab.partitions)}


def test_deleted_rows_come_back_neither_to_a_worker_that_lives_on_nor_to_an_old_data_directory(
    eager: EngineLab,
) -> None:
    lab = eager
    lab.produce_to(KEYS)
    old = lab.toy("old", session_s=2.0)
    until(lambda: lab.committed() >= 50)
    assert old.stop() == 0
    lab.toy("living", session_s=2.0)
    until(lambda: len(rows_of(lab, "living")) == 2)
    other = lab.toy("other", session_s=2.0)
    until(lambda: len(rows_of(lab, "living")) == len(rows_of(lab, "other")) == 1)
    lab.produce_to(KEYS[:40], value=b"drop")
    until(lambda: compacted(lab), 120)
    assert other.stop() == 0
    until(lambda: len(rows_of(lab, "living")) == 2)
    assert rows_of(lab, "living") == live_rows(lab) and sum(live_rows(lab).values()) == len(KEPT)
    lab.toy("old", session_s=2.0)
    until(lambda: len(rows_of(lab, "living")) == len(rows_of(lab, "old")) == 1)
    assert rows_of(lab, "living") | rows_of(lab, "old") == live_rows(lab)
