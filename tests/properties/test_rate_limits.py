"""The rate limiter, for any times and any names: never more than the rate, never less, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from app.ingress.v1.rate_limits import BURST_S, RateLimiter, client_name, retry_after

STEPS = st.lists(st.floats(min_value=0, max_value=5, allow_nan=False), min_size=1, max_size=200)


@given(rate=st.sampled_from([0.2, 1.0, 7.0, 100.0]), steps=STEPS)
def test_no_span_of_time_gets_more_than_its_rate_and_one_burst(rate: float, steps: list[float]) -> None:
    limiter, now, granted = RateLimiter(rate), 0.0, list[float]()
    for step in steps:
        now += step
        if not limiter.take("a", now):
            granted.append(now)
    depth = max(BURST_S * rate, 1)
    for first, begin in enumerate(granted):
        for last in range(first, len(granted)):
            assert last - first + 1 <= (granted[last] - begin) * rate + depth + 1e-6


@given(rate=st.sampled_from([0.2, 1.0, 7.0, 100.0]), steps=STEPS)
def test_who_waits_as_long_as_was_said_is_let_in(rate: float, steps: list[float]) -> None:
    limiter, now = RateLimiter(rate), 0.0
    for step in steps:
        now += step
        if wait_s := limiter.take("a", now):
            assert int(retry_after(wait_s)) >= wait_s
            now += wait_s
            assert limiter.take("a", now) == 0.0


@given(names=st.lists(st.integers(min_value=0, max_value=50), max_size=300))
def test_no_name_takes_from_another_and_only_the_latest_are_kept(names: list[int]) -> None:
    limiter = RateLimiter(1.0, most=10)
    alone: dict[int, RateLimiter] = {}
    for now, name in enumerate(names):
        # Seen among the last ten: its bucket is still known.
        recent = list(dict.fromkeys(reversed(names[:now])))[:10]
        if name not in recent:
            alone[name] = RateLimiter(1.0)
        assert (limiter.take(str(name), 0.0) == 0.0) == (alone[name].take("", 0.0) == 0.0)
        assert len(limiter._full_at_s) <= 10


def test_a_rate_of_nought_is_no_limit() -> None:
    limiter = RateLimiter(0.0)
    assert [limiter.take("a", 0.0) for _ in range(1000)] == [0.0] * 1000


@given(st.ip_addresses(v=6), st.integers(min_value=0, max_value=2**64 - 1))
def test_all_addresses_of_one_ipv6_network_are_one_client(address: object, low: int) -> None:
    import ipaddress

    mine = ipaddress.IPv6Address(str(address))
    other = ipaddress.IPv6Address(int(mine) >> 64 << 64 | low)
    if mine.ipv4_mapped is None and other.ipv4_mapped is None:
        assert client_name(str(mine)) == client_name(str(other)) != client_name("127.0.0.1")


def test_an_address_is_counted_in_whatever_form_it_is_written_and_a_long_name_is_cut() -> None:
    assert client_name("::ffff:203.0.113.7") == client_name("203.0.113.7") == "203.0.113.7"
    assert client_name("fe80::1%eth0") == client_name("fe80::2") and client_name("") == ""
    assert client_name("x" * 1000) == "x" * 64
