"""Positions beside the commits: which start is refused, where the others begin, and that none is ever ahead."""

import asyncio
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.streams.engine import positions
from app.streams.engine.agent import Output
from app.streams.engine.positions import (
    Commit,
    Position,
    Positions,
    Source,
    begin_at,
    commit_metadata,
    read_metadata,
    refusal,
)

IDS = [f"{n:032x}" for n in range(3)]
PLACE = ("in", 3)


def source(
    commit: Commit | None, before: Position | None, now: Position | None = None, *, guarded: bool = True
) -> Source:
    return Source(PLACE, now or at(0, IDS[0]), commit, before, guarded)


def at(offset: int, topic_id: str, first: int = 0, **logs: str) -> Position:
    return Position(offset=offset, first=first, topic_id=topic_id, changelogs=logs)


OURS, BY_HAND = Commit(700, ours=True), Commit(5, ours=False)


def test_a_topic_of_another_id_is_refused_whatever_it_holds_and_whatever_was_committed() -> None:
    before, now = at(700, IDS[1], log=IDS[2]), at(0, IDS[0], log=IDS[2])
    for commit in (None, OURS, BY_HAND):
        assert "the topic was re-created, and rows know" in refusal(source(commit, before, now))


def test_it_may_be_taken_once_an_operator_set_the_offsets_and_the_rows_of_the_former_one_are_gone_too() -> None:
    before, now = at(700, IDS[1], log=IDS[2], other=IDS[2]), at(0, IDS[0], log=IDS[1], other=IDS[1])
    assert refusal(source(BY_HAND, before, now)) == "" and "rows know" in refusal(source(OURS, before, now))
    half = at(0, IDS[0], log=IDS[1], other=IDS[2])
    assert "rows know" in refusal(source(BY_HAND, before, half))


def test_without_rows_an_operator_who_set_the_offsets_may_take_another_topic_for_it() -> None:
    for commit in (None, OURS):
        assert "set the group's offsets" in refusal(source(commit, at(700, IDS[1]), guarded=False))
    assert refusal(source(BY_HAND, at(700, IDS[1]), guarded=False)) == ""
    assert begin_at(source(BY_HAND, at(700, IDS[1]), guarded=False)) == 5


def test_a_changelog_of_another_id_is_refused_until_an_operator_has_it_folded_again() -> None:
    before, now = at(700, IDS[0], log=IDS[1]), at(0, IDS[0], log=IDS[2])
    for commit in (None, OURS):
        assert "the changelog was re-created" in refusal(source(commit, before, now))
    assert refusal(source(BY_HAND, before, now)) == ""


def test_where_the_broker_has_no_ids_a_log_that_begins_earlier_than_before_is_another() -> None:
    assert "began at 50 and begins at 0 now" in refusal(source(OURS, at(700, "", 50), at(0, "")))
    assert refusal(source(OURS, at(700, "", 50), at(0, "", 60))) == ""


def test_the_same_topic_is_never_refused_and_goes_on_at_its_commit_else_at_its_position_else_where_it_begins() -> None:
    before = at(700, IDS[0], log=IDS[1])
    now = at(0, IDS[0], first=40, log=IDS[1])
    wanted = {None: 700, OURS: 700, BY_HAND: 5}
    for commit, begin in wanted.items():
        assert refusal(source(commit, before, now)) == "" and begin_at(source(commit, before, now)) == begin
    assert refusal(source(None, None, now)) == "" and begin_at(source(None, None, now)) == 40


def test_the_operator_hears_of_a_lost_commit_and_not_of_a_partition_that_never_had_one() -> None:
    with capture_logs() as lines:
        begin_at(source(None, at(40, IDS[0], first=40), at(40, IDS[0], first=40)))
        begin_at(source(None, None))
        begin_at(source(OURS, at(700, IDS[0])))
    assert lines == []
    with capture_logs() as lines:
        begin_at(source(None, at(700, IDS[0])))
    assert [(line["event"], line["offset"]) for line in lines] == [("commit.lost", 700)]


class Log:
    """What the producer put on the topic."""

    def __init__(self) -> None:
        self.records: list[Output] = []

    async def send_all(self, outputs: Iterable[Output]) -> dict[tuple[str, int], int]:
        self.records += outputs
        return {}


@given(st.lists(st.integers(0, 10_000), max_size=20), st.integers(0, 10_000))
async def test_what_is_written_rises_with_the_commits_and_is_never_ahead_of_them(
    commits: list[int], begin: int
) -> None:
    log = Log()
    kept = Positions("app-positions", log)  # type: ignore[arg-type] # all that is used
    kept.take([source(Commit(begin, ours=True), None, at(begin, IDS[0]))])
    await kept.write({})
    highest = begin
    for offset in commits:
        await kept.write({PLACE: offset, ("in", 4): 99})
        highest = max(highest, offset)
        last = log.records[-1]
        assert (last.topic, last.key, last.partition) == ("app-positions", b"in", 3)
        assert msgspec.json.decode(last.value or b"", type=Position) == at(highest, IDS[0])
    offsets = [msgspec.json.decode(record.value or b"", type=Position).offset for record in log.records]
    assert offsets == sorted(set(offsets)), "nothing is written twice"


@given(st.sampled_from([*IDS, ""]), st.sampled_from(["", "[[1,2,3,1,false]]"]), st.text(max_size=60))
def test_a_commit_of_ours_is_told_from_one_that_a_tool_made(topic_id: str, suspects: str, other: str) -> None:
    assert read_metadata(commit_metadata(topic_id, suspects)) == (True, suspects)
    assert read_metadata("") == (False, "") and read_metadata("[[1,2,3,1,false]]")[0] is False
    ours, said = read_metadata(other)
    assert ours or said == other


async def test_positions_are_written_again_and_again_while_the_worker_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "WRITE_S", 0.001)
    log, committed = Log(), {PLACE: 5}
    kept = Positions("app-positions", log)  # type: ignore[arg-type] # all that is used
    kept.take([source(Commit(0, ours=True), None, at(0, IDS[0]))])
    task = asyncio.get_running_loop().create_task(kept.run(lambda: committed))
    async with asyncio.timeout(10):
        for offset in (5, 6):
            committed[PLACE] = offset
            while not log.records or msgspec.json.decode(log.records[-1].value or b"", type=Position).offset < offset:
                await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
