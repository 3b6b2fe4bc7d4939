"""The counts of the poison guard, whatever dies in whatever order."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from app.streams.engine.crash_marker import Death, DeathCause, Work, WorkStage
from app.streams.engine.poison_guard import DEATHS, PoisonGuard

TOPIC, LAST, AT_MS = "contacts", 20, 1_790_000_000_000


def death(first: int, last: int) -> Death:
    return Death(Work(TOPIC, 3, first, last, AT_MS + first), WorkStage.FOLD, DeathCause.SIGNAL)


def condemned(guard: PoisonGuard) -> set[int]:
    return {offset for offset in range(LAST) if guard.condemned(TOPIC, 3, offset, AT_MS + offset)}


def read_on(directory: Path, deadly: frozenset[int], chunk: int) -> tuple[list[int], int]:
    """A supervisor starts the process until it has read the whole partition, where each of `deadly` ends it. Returns
    what was set aside, and the number of deaths."""
    aside, deaths, offset = list[int](), 0, 0
    while offset < LAST:
        guard = PoisonGuard(directory)
        alone = guard.careful(TOPIC, 3, offset)
        taken = range(offset, offset + 1 if alone else min(LAST, offset + chunk))
        if alone and offset in condemned(guard):
            aside.append(offset)
        elif deadly & set(taken):
            deaths += 1
            guard.count([death(taken[0], taken[-1])])
            continue
        offset = taken[-1] + 1
        guard.committed(TOPIC, 3, offset)
    return aside, deaths


@settings(deadline=None)  # each count is fsynced
@given(st.frozensets(st.integers(0, LAST - 1), max_size=4), st.integers(1, LAST))
def test_just_the_deadly_records_are_set_aside_each_after_three_deaths(deadly, chunk):
    with TemporaryDirectory() as directory:
        aside, deaths = read_on(Path(directory), deadly, chunk)
    assert aside == sorted(deadly)
    assert DEATHS * len(deadly) <= deaths + len(deadly) and deaths <= DEATHS * len(deadly)


@settings(deadline=None)  # each count is fsynced
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)).map(sorted), max_size=12), st.integers(0, 19))
def test_counts_survive_a_restart_and_a_rebalance_and_no_commit_past_them(ranges, begin):
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        guard = PoisonGuard(Path(one))
        guard.count(death(first, last) for first, last in ranges)
        again, elsewhere = PoisonGuard(Path(one)), PoisonGuard(Path(other))
        elsewhere.learn(TOPIC, 3, guard.metadata(TOPIC, 3, begin), begin)
        assert condemned(again) == condemned(guard)
        assert condemned(elsewhere) == {offset for offset in condemned(guard) if offset >= begin}
        guard.committed(TOPIC, 3, begin)
        assert condemned(guard) == condemned(elsewhere)
        elsewhere.committed(TOPIC, 3, LAST)
        assert not condemned(PoisonGuard(Path(other))) and elsewhere.metadata(TOPIC, 3, 0) == ""


@settings(deadline=None)  # each count is fsynced
@given(st.permutations([WorkStage.FOLD, WorkStage.ENCODE, WorkStage.FOLD] + [WorkStage.READ] * (DEATHS - 1)))
def test_a_batch_of_one_record_is_not_done_without_for_what_its_fold_did_nor_the_record_for_its_batch(stages):
    with TemporaryDirectory() as directory:
        guard, work = PoisonGuard(Path(directory)), Work(TOPIC, 3, 7, 7, AT_MS)
        guard.count(Death(work, stage, DeathCause.SIGNAL) for stage in stages)
        assert guard.condemned(TOPIC, 3, 7, AT_MS) == DEATHS and guard.condemned_batch(work) == 0
        guard.count([Death(work, WorkStage.READ, DeathCause.SIGNAL)])
        assert PoisonGuard(Path(directory)).condemned_batch(work) == DEATHS


def test_a_record_of_a_recreated_topic_does_not_inherit_the_deaths_of_another_at_its_offset(tmp_path):
    guard = PoisonGuard(tmp_path)
    guard.count([death(7, 7)] * DEATHS)
    assert guard.condemned(TOPIC, 3, 7, AT_MS + 7) and not guard.condemned(TOPIC, 3, 7, AT_MS + 8)


def test_the_metadata_of_other_software_says_nothing(tmp_path):
    guard = PoisonGuard(tmp_path)
    guard.learn(TOPIC, 3, "{not ours", 0)
    assert guard.metadata(TOPIC, 3, 0) == ""


def test_counts_that_cannot_be_read_begin_anew(tmp_path):
    (tmp_path / "suspects.json").write_bytes(b'[["contacts",3')
    guard = PoisonGuard(tmp_path)
    guard.count([death(4, 4)])
    assert PoisonGuard(tmp_path).careful(TOPIC, 3, 4)
