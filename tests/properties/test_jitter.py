"""The jitter of retries: within its bounds, spread over messages, and the same whenever it is computed."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain.rules.schedule import FIRST_BACKOFF_MS, LAST_BACKOFF_MS, backoff_ms, with_jitter

MESSAGES = st.from_regex(r"[0-9a-f]{20}-[0-9a-f]{20}", fullmatch=True)
WAITS, ATTEMPTS = st.integers(0, 1_800_000), st.integers(1, 1_000)


@given(WAITS, MESSAGES, ATTEMPTS)
def test_a_wait_is_at_most_20_percent_shorter_or_longer(wait_ms: int, message_id: str, attempt: int) -> None:
    waited_ms = with_jitter(wait_ms, message_id, attempt)
    assert 8 * wait_ms <= 10 * waited_ms <= 12 * wait_ms
    assert with_jitter(wait_ms, message_id, attempt) == waited_ms


@given(st.integers(FIRST_BACKOFF_MS, LAST_BACKOFF_MS), st.integers(0, 2**60), ATTEMPTS)
def test_messages_that_failed_together_come_back_spread_over_the_band(wait_ms: int, first: int, attempt: int) -> None:
    messages = [f"0123456789abcdef0123-{first + n:020x}" for n in range(50)]
    waits = [with_jitter(wait_ms, message, attempt) for message in messages]
    assert len(set(waits)) > 25
    assert min(waits) < 0.95 * wait_ms and max(waits) > 1.05 * wait_ms


@given(MESSAGES)
def test_the_attempts_of_one_message_differ_too(message_id: str) -> None:
    assert len({with_jitter(60_000, message_id, attempt) for attempt in range(1, 11)}) > 5


@given(MESSAGES)
def test_later_waits_stay_longer_until_the_longest(message_id: str) -> None:
    waits = [with_jitter(backoff_ms(n), message_id, n) for n in range(1, 8)]
    assert waits[:6] == sorted(waits[:6])


def test_the_jitter_of_a_message_is_the_same_in_every_process() -> None:
    message = "0123456789abcdef0123-aaaaaaaaaaaaaaaaaaaa"
    assert [with_jitter(10_000, message, attempt) for attempt in (1, 2, 3)] == [10_121, 8_571, 9_216]
