"""A cycle ends by records, outputs, bytes or time; what it waited for others is not its time."""

import pytest

from app.streams.engine.budget import Budget, Limits

LIMITS = Limits(records=3, outputs=10, bytes=100, seconds=1.0, breath_s=0.5)


class Clock:
    def __init__(self) -> None:
        self.s = 50.0

    def __call__(self) -> float:
        return self.s


@pytest.mark.parametrize(
    ("records", "outputs", "size", "seconds", "spent"),
    [
        (2, 9, 99, 0.9, False),
        (3, 0, 0, 0.0, True),
        (0, 10, 0, 0.0, True),
        (0, 0, 100, 0.0, True),
        (0, 0, 0, 1.0, True),
    ],
)
def test_a_cycle_ends_at_each_of_its_limits(records, outputs, size, seconds, spent):
    clock = Clock()
    budget = Budget(LIMITS, clock)
    for _ in range(records):
        budget.folded(0)
    clock.s += seconds
    assert budget.spent(outputs, size) is spent


def test_bytes_of_records_and_of_what_they_made_count_together():
    budget = Budget(LIMITS, Clock())
    budget.folded(60)
    assert not budget.spent(0, 39) and budget.spent(0, 40)


def test_time_that_a_cycle_waited_for_others_is_not_its_own():
    clock = Clock()
    budget = Budget(LIMITS, clock)
    clock.s += 30.0
    budget.waited(29.5)
    assert not budget.spent(0, 0)
    clock.s += 0.5
    assert budget.spent(0, 0)


def test_the_loop_is_let_go_each_time_it_was_held_for_long_enough():
    clock = Clock()
    budget = Budget(LIMITS, clock)
    assert not budget.breath_due()
    clock.s += 0.5
    assert budget.breath_due() and not budget.breath_due()


def test_the_limits_in_force_let_no_cycle_hold_the_loop_for_as_long_as_a_watchdog_waits():
    limits = Limits()
    assert limits.seconds <= 0.5 and limits.breath_s <= 0.05
    assert limits.outputs <= 20_000 and limits.bytes <= 16 << 20 and limits.records <= 5_000
