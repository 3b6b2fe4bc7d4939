"""A worker that is told to end does, whatever Faust and Kafka do meanwhile."""

from tests.support.engine_lab import EngineLab, until


def finished(lab: EngineLab, count: int, name: str = "heir") -> None:
    """A worker folds what is left, so many inputs in all, and ends in order."""
    toy = lab.toy(name)
    until(lambda: lab.committed() == count)
    assert toy.stop() == 0


def test_told_to_end_during_its_first_recovery_it_ends(lab: EngineLab) -> None:
    lab.produce(500)
    finished(lab, 500, "first")
    heir = lab.toy("empty", stuck_restore=True)
    until(lambda: lab.notes("stuck"))
    assert heir.stop() == 0
    assert "rashed" not in heir.output.read_text()


def test_told_to_end_in_the_middle_of_its_work_it_ends_in_order(lab: EngineLab) -> None:
    lab.produce(8000)
    toy = lab.toy(slow_ms=1)
    until(lambda: len(lab.read("out")) > 300)
    assert toy.stop() == 0
    assert 0 < lab.committed() < 8000
    finished(lab, 8000)
    assert len(lab.read("out")) == 8000


def test_a_consumer_thread_that_does_not_end_ends_with_its_process_in_time(lab: EngineLab) -> None:
    lab.produce(100)
    toy = lab.toy(no_end=True)
    until(lambda: lab.committed() == 100)
    assert toy.stop() == 70
    assert "the stop took longer than 15 s" in toy.output.read_text()
    lab.produce(100, start=100)
    finished(lab, 200)
    assert len(lab.read("out")) == 200


def test_a_thread_that_is_left_keeps_no_process(lab: EngineLab) -> None:
    lab.produce(10)
    toy = lab.toy(thread_left=True)
    until(lambda: lab.committed() == 10)
    assert toy.stop() == 0
    assert '"threads":["left"]' in toy.output.read_text()
