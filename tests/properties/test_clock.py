"""Times as text: whatever a record says its time is."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from app import clock


@given(st.integers())
@example(2**63)
@example(clock.LATEST_MS)
@example(clock.LATEST_MS + 1)
@example(-1)
def test_every_time_can_be_written_and_those_that_utc_has_are_read_back(at_ms: int) -> None:
    read = datetime.fromisoformat(clock.iso(at_ms))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert (read - epoch) // timedelta(milliseconds=1) == min(max(at_ms, 0), clock.LATEST_MS)
