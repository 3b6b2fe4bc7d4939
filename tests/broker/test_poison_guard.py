"""A record that ends the process again and again is set aside; nothing else is, and nothing is lost."""

import signal

import pytest

from tests.support.lab import Lab, until

DEATHS = 3


def deaths_until_it_lives(lab: Lab, inputs: int, **given: object) -> int:
    """Start the worker over and over, as a supervisor does, until it has committed so many inputs."""
    for deaths in range(2 * DEATHS + 2):
        toy = lab.toy("a", **given)
        until(lambda toy=toy: toy.ended() or lab.committed() >= inputs)
        if not toy.ended():
            assert toy.stop() == 0
            return deaths
    raise AssertionError("it never lived")


def test_records_that_end_the_process_three_times_are_set_aside_at_the_next_start(lab):
    """Amid others of their partitions; one by a crash of the interpreter, one by an exit of a library."""
    deadly = {13: b"segv", 22: b"exit"}
    lab.produce(40, keys=8, values=[deadly.get(n, b"%d" % n) for n in range(40)])
    assert deaths_until_it_lives(lab, 40) == 2 * DEATHS
    letters = [value for *_, value in lab.read("dead")]
    assert letters == 2 * [b"record:ended the process 3 times and was set aside"]
    assert len({tuple(place[2:]) for place in lab.notes("dies")}) == 2
    assert lab.notes("set_aside") and len(lab.notes("frozen")) == len(lab.notes("set_aside"))
    assert lab.outputs() == {b"%d" % n for n in range(40) if n not in deadly}


@pytest.mark.parametrize("word", [b"block", b"system_exit"])
def test_a_record_that_blocks_the_loop_or_asks_for_an_exit_is_set_aside_too(lab, word):
    lab.produce(8, keys=8, values=[word if n == 3 else b"%d" % n for n in range(8)])
    assert deaths_until_it_lives(lab, 8, stall_s=2.0) == DEATHS
    assert lab.outputs() == {b"%d" % n for n in range(8) if n != 3}


def test_kill_9_in_the_middle_of_a_record_is_held_against_no_record(lab):
    lab.produce(4, keys=4, values=[b"1", b"kill", b"2", b"3"])
    for _ in range(DEATHS + 1):
        toy = lab.toy("a")
        until(toy.ended)
        assert toy.process.returncode == -signal.SIGKILL
    assert not lab.read("dead") and "process.died_at_records" not in toy.output.read_text()


def test_the_count_travels_with_the_partition_to_another_worker(lab):
    """The first worker's second start told the group of its first death; its second death nobody heard of."""
    lab.produce(8, keys=8, values=[b"segv" if n == 3 else b"%d" % n for n in range(8)])
    for name in ("a", "a", "b", "b"):
        toy = lab.toy(name, session_s=3.0)
        until(toy.ended)
    lab.toy("b", session_s=3.0)
    until(lambda: lab.committed() >= 8)
    assert len(lab.notes("dies")) == DEATHS + 1
    assert lab.outputs() == {b"%d" % n for n in range(8) if n != 3}
