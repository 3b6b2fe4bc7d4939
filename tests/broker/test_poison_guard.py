"""A record that ends the process again and again is set aside; nothing else is, and nothing is lost."""

from tests.support.engine_lab import EngineLab, until

DEATHS = 3


def deaths_until_it_lives(lab: EngineLab, inputs: int, **given: object) -> int:
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
    assert {value for *_, value in lab.read("dead")} == {b"record:set aside: ended the process 3 times"}
    assert len({tuple(place[2:]) for place in lab.notes("dies")}) == 2
    assert {tuple(place[2:]) for place in lab.notes("dies")} == {tuple(place[2:]) for place in lab.notes("frozen")}
    assert len(lab.notes("frozen")) == len(lab.notes("set_aside"))
    assert lab.outputs() == {b"%d" % n for n in range(40) if n not in deadly}


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
