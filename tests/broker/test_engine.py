"""The engine's cures on a real broker, with processes killed, paused and restarted."""

import re
import signal

import pytest

from tests.support.engine_lab import EngineLab, until


def expected_counts(inputs: int, keys: int = 50) -> dict[bytes, int]:
    return {b"k%d" % k: len(range(k, inputs, keys)) for k in range(keys)}


def counts(lab: EngineLab) -> dict[bytes, int]:
    return {key: int(row.split(b"|")[1]) for key, row in lab.state().items()}


def folded(lab: EngineLab, inputs: int) -> None:
    """A worker folded so many inputs, committed them, and was stopped."""
    lab.produce(inputs)
    toy = lab.toy("a")
    until(lambda: lab.committed() >= inputs)
    assert toy.stop() == 0


def test_a_worker_killed_in_the_middle_of_batches_loses_nothing_and_counts_nothing_twice(lab):
    lab.produce(6000)
    for _ in range(3):
        toy = lab.toy(slow_ms=2)
        before = len(lab.read("out"))
        until(lambda seen=before: len(lab.read("out")) > seen + 300)
        toy.kill()
    assert lab.committed() < 6000, "the kills came after the work"
    toy = lab.toy()
    until(lambda: lab.committed() >= 6000)
    assert toy.stop() == 0
    assert lab.outputs() == {b"%d" % n for n in range(6000)}
    assert counts(lab) == expected_counts(6000)


@pytest.mark.parametrize("unguarded", [False, True])
def test_the_row_guard_is_what_keeps_redelivered_inputs_from_counting_twice(lab, unguarded):
    lab.produce(2000)
    toy = lab.toy(slow_ms=0.3, commit_s=60.0, unguarded=unguarded)
    until(lambda: len(lab.read("out")) > 600)
    toy.kill()
    lab.toy(unguarded=unguarded)
    until(lambda: lab.committed() >= 2000)
    assert (counts(lab) == expected_counts(2000)) is not unguarded


def test_restarts_with_a_backlog_waiting_lose_nothing(lab):
    sent = 0
    for _ in range(4):
        lab.produce(400, start=sent)
        sent += 400
        toy = lab.toy(slow_ms=2, commit_s=0.3)
        until(lambda wanted=sent: lab.committed() >= wanted)
        assert toy.stop() == 0
    assert lab.outputs() == {b"%d" % n for n in range(sent)}
    assert counts(lab) == expected_counts(sent)


def test_p4_inputs_of_partitions_without_a_commit_wait_for_a_recovery_too(lab):
    """One partition was worked on before, so there is something to restore; the others begin with what waits there."""
    lab.produce(50, keys=1)
    before = lab.toy("a")
    until(lambda: lab.committed() >= 50)
    assert before.stop() == 0
    lab.produce(400, start=50)
    lab.toy("b", slow_seek_s=1.5)
    until(lambda: lab.committed() >= 450)
    assert lab.outputs() == {b"%d" % n for n in range(450)}


def test_two_workers_share_the_work_and_a_leaving_one_hands_over(lab):
    lab.produce(4000)
    one = lab.toy("a", slow_ms=1, commit_s=60.0)
    until(lambda: len(lab.notes("settled", "a")) > 3)
    two = lab.toy("b", slow_ms=1)
    until(lambda: lab.notes("settled", "b"))
    assert one.stop() == 0
    until(lambda: lab.committed() >= 4000)
    assert two.stop() == 0
    assert {value.split(b"|")[1] for *_, value in lab.read("out")} == {b"a", b"b"}
    assert lab.outputs() == {b"%d" % n for n in range(4000)}
    assert len(lab.read("out")) == 4000, "an orderly hand-over commits what was done: nothing is read again"
    assert counts(lab) == expected_counts(4000)


def test_a_worker_started_again_within_the_session_takes_nothing_from_the_others(lab):
    def owned(name: str) -> int:
        return len(lab.notes("assigned", name)) - len(lab.notes("revoked", name))

    one, _ = lab.toy("a", session_s=25.0), lab.toy("b", session_s=25.0)
    until(lambda: owned("a") and owned("b") and owned("a") + owned("b") == lab.partitions)
    before = len(lab.notes("revoked", "b"))
    one.kill()
    lab.toy("a", session_s=25.0)
    lab.produce(400)
    until(lambda: lab.committed() >= 400)
    assert len(lab.notes("revoked", "b")) == before


@pytest.mark.parametrize("unsafe", [(), ("rows_first",)])
def test_p1_outputs_are_out_before_the_rows_that_make_their_inputs_look_done(lab, unsafe):
    lab.produce(400)
    toy = lab.toy(unsafe=list(unsafe), die_at="after_rows:1")
    until(toy.ended)
    assert toy.process.returncode == -signal.SIGKILL
    lab.toy(unsafe=list(unsafe))
    until(lambda: lab.committed() >= 400)
    assert (lab.outputs() == {b"%d" % n for n in range(400)}) is (not unsafe)


@pytest.mark.parametrize("unsafe", [(), ("holes",)])
def test_p4_a_hole_in_the_log_ends_the_process_instead_of_being_committed_over(lab, unsafe):
    lab.produce(400)
    toy = lab.toy()
    until(lambda: lab.committed() >= 400)
    assert toy.stop() == 0
    lab.produce(400, start=400)
    lab.truncate("in")
    lab.produce(400, start=800)
    again = lab.toy(unsafe=list(unsafe))
    if unsafe:
        until(lambda: lab.committed() >= 1200)
        return
    until(again.ended)
    assert again.process.returncode == 78 and "were deleted before they were read" in again.output.read_text()
    assert lab.committed() == 400


def test_a_first_recovery_that_stands_still_ends_the_process(lab):
    folded(lab, 500)
    toy = lab.toy("empty", stuck_restore=True, stall_s=2.0)
    until(toy.ended)
    assert toy.process.returncode == 70 and "no progress for 2 s" in toy.output.read_text()
    assert lab.notes("stuck")


def test_a_process_that_makes_no_progress_ends_itself(lab):
    lab.produce(10)
    toy = lab.toy(hang=True, stall_s=2.0)
    until(toy.ended)
    assert toy.process.returncode == 70 and "no progress for 2 s" in toy.output.read_text()
    assert lab.committed() == 0


def test_a_record_whose_row_the_broker_refuses_is_set_aside_and_all_others_are_folded(kafka, tmp_path):
    lab = EngineLab(kafka, tmp_path, **{"max.message.bytes": "4000"})
    lab.produce(400)
    toy = lab.toy(big=9000)
    until(lambda: lab.committed() >= 400)
    assert toy.stop() == 0, toy.output.read_text()[-2000:]
    refused = {n for n in range(400) if n % 50 == 7}
    assert {value for *_, value in lab.read("dead")} == {b"record:set aside: fault of ours: RecordRefusedError"}
    assert len(lab.read("dead")) == len(lab.notes("set_aside")) == len(refused)
    assert counts(lab) == {key: count for key, count in expected_counts(400).items() if key != b"k7"}
    lab.close()


@pytest.mark.parametrize("unsafe", [(), ("store_first",)])
def test_the_store_is_never_ahead_of_the_changelog(lab, unsafe):
    lab.produce(50)
    toy = lab.toy(unsafe=list(unsafe), die_at="before_changelog:2")
    until(toy.ended)
    lab.toy(unsafe=list(unsafe))
    until(lambda: lab.committed() >= 50)
    assert (counts(lab) == expected_counts(50)) is (not unsafe)


@pytest.mark.parametrize("unsafe", [(), ("lease", "foreign")])
def test_a_paused_former_owner_writes_nothing_when_it_wakes(lab, unsafe):
    lab.produce(8000)
    zombie = lab.toy("a", slow_ms=1, session_s=4.0, unsafe=list(unsafe))
    until(lambda: len(lab.notes("settled", "a")) > 5)
    zombie.signal(signal.SIGSTOP)
    lab.toy("b", slow_ms=1, session_s=4.0, unsafe=list(unsafe))
    until(lambda: len(lab.notes("settled", "b")) > 3)
    written = sum(value.endswith(b"|a") for *_, value in lab.read("out"))
    zombie.signal(signal.SIGCONT)
    if not unsafe:
        until(zombie.ended)
        assert zombie.process.returncode == 70
    until(lambda: lab.committed() >= 8000, 60)
    late = sum(value.endswith(b"|a") for *_, value in lab.read("out")) - written
    if unsafe:
        assert late > 0
    else:
        assert late == 0
        assert counts(lab) == expected_counts(8000)


def test_an_empty_disk_is_restored_from_the_changelog_in_bulk(lab):
    lab.produce(30_000, keys=20_000)
    toy = lab.toy("a")
    until(lambda: lab.committed() >= 30_000)
    assert toy.stop() == 0
    lab.toy("b")
    until(lambda: len(lab.notes("assigned", "b")) == lab.partitions)
    rows = lab.notes("assigned", "b")
    assert sum(int(row[3]) for row in rows) == 20_000
    lab.produce(1000, start=30_000, keys=20_000)
    until(lambda: lab.committed() >= 31_000)
    assert sum(counts(lab).values()) == 31_000


def test_a_warm_restart_reads_only_the_tail(lab):
    lab.produce(2000)
    toy = lab.toy("a")
    until(lambda: lab.committed() >= 2000)
    toy.kill()
    lab.toy("a")
    until(lambda: len(lab.notes("assigned", "a")) == 2 * lab.partitions)
    assert sum(int(row[3]) for row in lab.notes("assigned", "a")[lab.partitions :]) == 50


def test_a_recreated_topic_is_refused_with_a_clear_word(lab):
    folded(lab, 2000)
    lab.recreate("in")
    again = lab.toy("a")
    until(again.ended)
    assert again.process.returncode == 78
    assert "re-created" in again.output.read_text()


def test_a_commit_beyond_the_end_of_the_log_is_refused(lab):
    folded(lab, 400)
    lab.commit(0, 5000)
    again = lab.toy("a")
    until(again.ended)
    assert again.process.returncode == 78 and "but 5000 was committed" in again.output.read_text()


def test_inputs_that_were_deleted_unread_end_the_start_with_what_is_gone_until_an_operator_moves_on(lab):
    folded(lab, 200)
    read = lab.ends("in")
    lab.produce(200, start=200)
    lab.cut("in", {number: end + 5 for number, end in read.items()})
    again = lab.toy("a")
    until(again.ended)
    assert again.process.returncode == 78
    told = re.findall(r"\.in-(\d) (\d+) to (\d+)", again.output.read_text())
    assert {int(number): (int(first), int(last)) for number, first, last in told} == {
        number: (end, end + 4) for number, end in read.items()
    }
    for number, end in read.items():
        lab.commit(number, end + 5)
    lab.toy("a")
    until(lambda: lab.committed() >= 400)
    assert len(lab.outputs()) == 400 - 5 * len(read)


def test_inputs_deleted_before_a_living_worker_that_is_behind_end_it_the_same_way(lab):
    """The log's beginning overtakes it between two fetches."""
    lab.produce(20_000, keys=1, values=[b"%01000d" % n for n in range(20_000)])
    toy = lab.toy("a", slow_ms=1)
    until(lambda: lab.notes("settled", "a"))
    lab.truncate("in")
    lab.produce(1, start=20_000, keys=1)
    until(toy.ended, 60)
    assert toy.process.returncode == 78 and "were deleted before they were read" in toy.output.read_text()


@pytest.mark.parametrize("said", ["had the id", "is empty, but inputs"])
def test_p3_a_recreated_changelog_is_refused_whose_rows_are_in_no_other_place(lab, said):
    """Else a worker on a new disk would take everybody for somebody it never heard of."""
    folded(lab, 2000)
    lab.recreate("app-state-changelog")
    fresh = lab.toy("b", **({"positions": ""} if "empty" in said else {}))
    until(fresh.ended)
    told = fresh.output.read_text()
    assert fresh.process.returncode == 78 and said in told and "the changelog was re-created" in told


def test_a_worker_whose_loop_a_fold_blocks_ends_itself_and_says_where(lab):
    """Its consumer thread lives on and keeps the partitions: nobody else would ever get them."""
    lab.produce(10)
    toy = lab.toy("a", slow_ms=600_000, stall_s=3.0)
    until(toy.ended)
    assert toy.process.returncode == 70 and lab.committed() == 0
    assert "the event loop is blocked" in toy.output.read_text() and ":fold" in toy.output.read_text()


def test_a_data_directory_in_use_is_refused(lab):
    lab.toy("a")
    until(lambda: lab.notes("assigned", "a"))
    second = lab.toy("b", data=str(lab.path / "a"))
    until(second.ended)
    assert second.process.returncode == 78
    assert "another process" in second.output.read_text()


def test_what_cannot_be_read_is_a_dead_letter_and_a_fault_of_ours_freezes_but_never_stops_the_log(lab):
    lab.produce(4, values=[b"1", b"unreadable", b"raise", b"2"])
    lab.toy("a")
    until(lambda: lab.committed() >= 4)
    letters = sorted(value for *_, value in lab.read("dead"))
    assert letters == [b":fault of ours: RuntimeError", b"value:is not for us"]
    assert len(lab.notes("frozen")) == 1
    assert lab.outputs() == {b"1", b"2"}


def test_rows_written_after_an_assignment_are_put_once_more_two_sessions_later(lab):
    lab.produce(50)
    lab.toy("a", session_s=2.0)
    until(lambda: lab.committed() >= 50)
    assert len(lab.read("app-state-changelog")) == 50
    until(lambda: len(lab.read("app-state-changelog")) == 100)
    assert counts(lab) == expected_counts(50)


def test_a_recovery_of_several_fetches_ends_with_the_last_row_of_every_key(lab):
    """Rows of one key in several fetches: an earlier one must never come to lie over a later one."""
    lab.produce(8000, values=[b"%01500d" % n for n in range(8000)])
    toy = lab.toy("a", slice_records=20)
    until(lambda: lab.committed() >= 8000)
    assert toy.stop() == 0
    lab.toy("b")
    until(lambda: len(lab.notes("assigned", "b")) == lab.partitions)
    lab.produce(50, start=8000)
    until(lambda: lab.committed() >= 8050)
    assert counts(lab) == expected_counts(8050)
