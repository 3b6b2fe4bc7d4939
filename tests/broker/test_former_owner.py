"""A former owner's request that the network held back past a take-over: an older row over a newer one, on a real broker."""

import pytest

from tests.support.engine_lab import EngineLab, until

KEY, OLD = b"k3", b"3|1|3"


def count_of(lab: EngineLab) -> int:
    return int(lab.state()[KEY].split(b"|")[1])


def place_of(lab: EngineLab) -> int:
    return next(partition for partition, _, key, _ in lab.read("in") if key == KEY)


def worked(lab: EngineLab, inputs: int) -> None:
    until(lambda: lab.committed() >= inputs)


@pytest.mark.parametrize("disk", ["a", "empty"])
def test_an_older_row_on_the_changelog_is_not_restored_over_a_newer_one_and_does_not_stay_the_last(lab, disk):
    lab.produce(500)
    toy = lab.toy("a")
    worked(lab, 500)
    assert toy.stop() == 0
    lab.write_row(place_of(lab), KEY, OLD)
    assert count_of(lab) == 1
    lab.toy(disk, session_s=2.0)
    until(lambda: count_of(lab) == 10)
    lab.produce(50, start=500)
    worked(lab, 550)
    assert count_of(lab) == 11


@pytest.mark.parametrize("unsafe", [(), ("foreign",)])
def test_a_row_that_is_not_ours_between_our_own_ends_the_process_before_its_store_counts_it_as_read(lab, unsafe):
    lab.produce(500)
    toy = lab.toy("a", unsafe=list(unsafe))
    worked(lab, 500)
    lab.write_row(place_of(lab), KEY, OLD)
    others = [b"k%d" % n for n in range(50) if b"k%d" % n != KEY]
    lab.produce_to(others)
    if unsafe:
        worked(lab, 500 + len(others))
        assert toy.stop() == 0
        assert count_of(lab) == 1
        return
    until(toy.ended)
    assert toy.process.returncode == 70 and "a former owner wrote between them" in toy.output.read_text()
    lab.toy("a", session_s=2.0)
    worked(lab, 500 + len(others))
    until(lambda: count_of(lab) == 10)
