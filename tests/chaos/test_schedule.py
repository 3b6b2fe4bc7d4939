"""The schedule: seeded, complete before it repeats, and every planted fault has kinds that show it."""

import random
from itertools import islice

import pytest
from click.testing import CliRunner

from ops.chaos.main import command
from ops.chaos.pairs import HANDS, may_meet
from ops.chaos.plant import PLANTS
from ops.chaos.schedule import EXITS, KINDS, SETS, order


def first(count: int, seed: int, *only: str, among: str = "main") -> list[str]:
    """So many kinds, those of a pair one after the other."""
    kinds = (kind for fault in order(random.Random(seed), only, among) for kind in fault)
    return list(islice(kinds, count))


def pairs(seed: int) -> list[tuple[str, ...]]:
    return [fault for fault in islice(order(random.Random(seed)), 200) if len(fault) > 1]


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    assert first(100, 7) == first(100, 7)
    assert first(100, 7) != first(100, 8)


@pytest.mark.parametrize("among", sorted(SETS))
def test_every_kind_of_a_set_comes_once_before_any_comes_again(among):
    kinds = SETS[among]
    assert sorted(first(len(kinds), 7, among=among)) == sorted(kinds)
    assert sorted(first(2 * len(kinds), 7, among=among)) == sorted([*kinds, *kinds])


def test_only_the_kinds_asked_for_come_and_each_alone():
    assert set(first(20, 7, "poison", "worker_kill")) == {"poison", "worker_kill"}
    only = order(random.Random(7), ("worker_kill", "twilio_cut", "throttle"))
    assert all(len(fault) == 1 for fault in islice(only, 30))


@pytest.mark.parametrize("seed", range(20))
def test_two_at_once_lay_hands_on_different_things(seed):
    found = pairs(seed)
    assert found
    assert all(may_meet(*pair) and HANDS[pair[0]] != HANDS[pair[1]] for pair in found)


def test_no_worker_is_waited_for_at_a_point_while_it_cannot_get_there():
    assert not may_meet("kill_after_claim", "kafka_cut")
    assert not may_meet("kill_during_call", "twilio_cut")
    assert may_meet("kill_during_call", "callback_late")
    assert not may_meet("poison_campaign", "throttle")


def test_what_may_meet_and_what_may_end_a_process_are_kinds_that_there_are():
    assert set(HANDS) | set(EXITS) <= set(KINDS)


def test_every_planted_fault_names_kinds_that_there_are():
    assert {kind for plant in PLANTS.values() for kind in plant.kinds} <= set(KINDS)
    assert len(PLANTS) == 23


def test_a_run_is_bounded_by_time_or_by_a_number_of_faults():
    for given in ([], ["--minutes", "1", "--faults", "1"], ["--only", "nothing", "--faults", "1"]):
        assert CliRunner().invoke(command, given).exit_code == 2


def test_a_kind_that_needs_another_stand_is_refused():
    told = CliRunner().invoke(command, ["--only", "brokers_rolled", "--faults", "1"])
    assert told.exit_code == 2 and "is not in --set main" in told.output
