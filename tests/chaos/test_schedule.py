"""The schedule: seeded, complete before it repeats, and every planted fault has kinds that show it."""

import random
from itertools import islice

from click.testing import CliRunner

from ops.chaos.main import command
from ops.chaos.plant import PLANTS
from ops.chaos.schedule import EXITS, KINDS, order


def first(count: int, seed: int, *only: str) -> list[str]:
    return list(islice(order(random.Random(seed), only), count))


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    assert first(100, 7) == first(100, 7)
    assert first(100, 7) != first(100, 8)


def test_every_kind_comes_once_before_any_comes_again():
    assert sorted(first(len(KINDS), 7)) == sorted(KINDS)


def test_only_the_kinds_asked_for_come():
    assert set(first(20, 7, "poison", "worker_kill")) == {"poison", "worker_kill"}


def test_every_planted_fault_names_kinds_that_there_are():
    assert {kind for plant in PLANTS.values() for kind in plant.kinds} <= set(KINDS)
    assert len(PLANTS) == 21


def test_every_kind_that_may_end_a_process_is_one_that_there_is():
    assert set(EXITS) <= set(KINDS)


def test_a_run_is_bounded_by_time_or_by_a_number_of_faults():
    for given in ([], ["--minutes", "1", "--faults", "1"], ["--only", "nothing", "--faults", "1"]):
        assert CliRunner().invoke(command, given).exit_code == 2
