"""The allowance of an account: within its bounds, halved once per crowd, back soon, and near what Twilio really allows."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.provider.concurrency_limit import ROUNDS, ConcurrencyLimit

mosts = st.integers(1, 64)
answers = st.lists(
    st.tuples(st.booleans(), st.none() | st.integers(0, 200), st.integers(0, 5)), min_size=1, max_size=200
)


def throttle(allowance: ConcurrencyLimit, concurrent: int | None = None) -> bool:
    return allowance.answered(allowance.begin(), throttled=True, concurrent=concurrent)


def serve(allowance: ConcurrencyLimit, times: int = 1, concurrent: int | None = None) -> None:
    for _ in range(times):
        allowance.answered(allowance.begin(), throttled=False, concurrent=concurrent)


@given(mosts, answers)
def test_whatever_is_answered_there_is_room_for_one_and_never_for_more_than_the_most(most, given_answers):
    allowance, begun = ConcurrencyLimit(most), [0]
    for throttled, concurrent, late in given_answers:
        begun.append(allowance.begin())
        allowance.answered(begun[max(0, len(begun) - 1 - late)], throttled=throttled, concurrent=concurrent)
        assert 1 <= allowance.limit <= most


@given(mosts, st.integers(2, 100))
def test_requests_that_were_under_way_together_and_are_all_refused_halve_it_once(most, crowd):
    allowance = ConcurrencyLimit(most)
    begun = [allowance.begin() for _ in range(crowd)]
    cuts = [allowance.answered(one, throttled=True, concurrent=None) for one in begun]
    assert cuts == [True] + [False] * (crowd - 1)
    assert allowance.limit == max(1, most // 2)


@given(mosts, st.integers(0, 20), st.none() | st.integers(1, 40))
def test_after_a_storm_of_any_length_it_is_back_at_the_most_within_a_bounded_number_of_answers(most, storm, concurrent):
    allowance = ConcurrencyLimit(most)
    for _ in range(storm):
        throttle(allowance, concurrent)
    # One more for each limit's worth of answers: 1 + 2 + ... + most.
    serve(allowance, most * (most + 1) // 2 + most, concurrent=0 if concurrent else None)
    assert allowance.limit == most


@given(st.integers(2, 40))
def test_one_below_the_concurrency_that_twilio_refused_it_does_not_rise_until_that_was_fine_for_long(at):
    allowance = ConcurrencyLimit(64)
    throttle(allowance, at)
    low = allowance.limit
    serve(allowance, ROUNDS * low - 1, concurrent=at - 1)
    assert allowance.limit == low
    serve(allowance, 1 + 2 * low, concurrent=at - 1)
    assert allowance.limit > low
    serve(allowance, 64 * 64, concurrent=at - 2)
    assert allowance.limit == 64


@settings(deadline=None)
@given(st.integers(1, 30), st.booleans())
def test_it_stays_near_what_the_account_really_allows(allowed, told):
    """Rounds of as many requests as the limit says; Twilio takes `allowed` of them and refuses the rest."""
    allowance, taken, refused = ConcurrencyLimit(40), 0, 0
    for _ in range(1000):
        crowd = allowance.limit
        begun = [allowance.begin() for _ in range(crowd)]
        for n, one in enumerate(begun):
            allowance.answered(one, throttled=n >= allowed, concurrent=crowd if told else None)
        taken, refused = taken + min(crowd, allowed), refused + max(0, crowd - allowed)
    assert taken >= 0.6 * allowed * 1000
    # Told how many were at once, what is refused is what comes before the limit is found (40 + 20 + ...), and one each
    # time it is felt for. Not told, a limit of one or two is felt for at every other step.
    assert refused <= (80 + 1000 / ROUNDS if told else 0.6 * taken / allowed)


@settings(deadline=None)
@given(mosts, st.integers(1, 100))
def test_a_storm_that_refuses_single_requests_too_is_no_limit_and_is_forgotten_when_it_is_over(most, rounds):
    allowance = ConcurrencyLimit(most)
    for n in range(rounds + 2 * most):
        crowd = allowance.limit
        begun = [allowance.begin() for _ in range(crowd)]
        for one in begun:
            allowance.answered(one, throttled=n < rounds, concurrent=crowd)
        if n == rounds - 1 and crowd > 1:
            return  # it ended before it came to that
    assert allowance.limit == most
