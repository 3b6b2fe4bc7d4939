"""Commits that Kafka forgot, and topics that are others of the same name: what a real broker does, and what a start does."""

from tests.broker.test_engine import counts, expected_counts, folded
from tests.support.engine_lab import EngineLab, Toy, until


def refused(toy: Toy) -> str:
    until(toy.ended)
    assert toy.process.returncode == 78, toy.output.read_text()[-2000:]
    return toy.output.read_text()


def test_a_worker_whose_commits_are_lost_goes_on_behind_what_was_folded(lab: EngineLab) -> None:
    """It neither skips nor folds again: this toy has no guard, and would count twice."""
    folded(lab, 500)
    lab.forget_commits()
    lab.produce(100, start=500)
    toy = lab.toy("a", unguarded=True)
    until(lambda: lab.committed() >= 600)
    assert toy.stop() == 0
    assert counts(lab) == expected_counts(600) and len(lab.read("out")) == 600
    assert '"event":"commit.lost"' in toy.output.read_text()


def test_inputs_that_were_deleted_after_the_commits_were_lost_end_the_start(lab: EngineLab) -> None:
    folded(lab, 200)
    read = lab.ends("in")
    lab.forget_commits()
    lab.produce(200, start=200)
    lab.cut("in", {number: end + 5 for number, end in read.items()})
    assert "were deleted before they were read" in refused(lab.toy("a"))


def test_a_topic_that_was_created_again_and_filled_beyond_its_former_end_is_refused(lab: EngineLab) -> None:
    folded(lab, 400)
    lab.recreate("in")
    lab.produce(2000)
    for name in ("a", "on another disk"):
        assert "the topic was re-created, and rows know the offsets of the former one" in refused(lab.toy(name))


def test_a_changelog_that_was_created_again_and_filled_is_refused(lab: EngineLab) -> None:
    """By a worker with the former rows on its disk, and by one without."""
    folded(lab, 400)
    lab.recreate("app-state-changelog", **{"cleanup.policy": "compact"})
    for number in range(lab.partitions):
        for n in range(1000):
            lab.write_row(number, b"k%d" % n, b"1|1|1") if n % 250 == 0 else None
    assert "the changelog was re-created" in refused(lab.toy("b"))


def test_an_operator_who_set_the_offsets_to_the_beginning_has_the_log_folded_again(lab: EngineLab) -> None:
    """As the runbook of a changelog that was created again says; a commit of a tool has no topic id in its metadata."""
    folded(lab, 400)
    lab.recreate("app-state-changelog", **{"cleanup.policy": "compact"})
    for number in range(lab.partitions):
        lab.commit(number, 0)
    toy = lab.toy("on another disk")
    until(lambda: lab.committed() >= 400)
    assert toy.stop() == 0 and counts(lab) == expected_counts(400)
    again = lab.toy("on another disk")
    lab.produce(50, start=400)
    until(lambda: lab.committed() >= 450)
    assert again.stop() == 0 and counts(lab) == expected_counts(450)
