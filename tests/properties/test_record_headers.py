"""Records of many headers: they count with what they cost, and one of too many is refused and keeps its value."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.kafka.batch_fetching import PARTITION_BYTES
from app.kafka.record_batches import SMALL_BYTES
from app.kafka.record_format import HEADER_BYTES, MAX_HEADERS
from app.streams.engine.agent import Input
from app.streams.engine.budget import Budget, Limits
from tests.support.batches import ProducedBatch, batch, batches, record, take_all

headers = st.sampled_from([[("", b"")], [("h", None)], [("\udcff", b"1")]])
counts = st.sampled_from([0, 1, 40, MAX_HEADERS - 1, MAX_HEADERS, MAX_HEADERS + 1, 5 * MAX_HEADERS])
records = st.builds(
    lambda value, header, count: ProducedBatch(None, value, header * count), st.binary(max_size=2500), headers, counts
)


@settings(deadline=None, max_examples=25)
@given(st.lists(records, min_size=1, max_size=12), st.integers(1, 15), st.integers(0, 4), st.integers(1, 40))
def test_every_record_comes_with_its_headers_or_says_that_there_are_too_many(made, times, codec, most) -> None:
    made *= times
    turns = take_all(batches(batch(0, made, codec)), most)
    found = [r for turn in turns for r in turn.records]
    assert [r.value for r in found] == [one.value for one in made]
    for one, r in zip(made, found, strict=True):
        many = len(one.headers) > MAX_HEADERS
        assert r.headers == ([] if many else one.headers)
        assert r.unreadable == (f"the record has {len(one.headers)} headers, more than {MAX_HEADERS}" if many else "")


@settings(deadline=None, max_examples=25)
@given(st.lists(records, min_size=1, max_size=12), st.integers(1, 15), st.integers(0, 4))
def test_a_turn_counts_its_headers_and_ends_when_they_are_enough(made, times, codec) -> None:
    made *= times
    turns = take_all(batches(batch(0, made, codec)), len(made), PARTITION_BYTES)
    for turn in turns:
        carried = sum(len(r.headers) for r in turn.records)
        assert turn.size >= sum(len(r.value) for r in turn.records) + HEADER_BYTES * carried
        # The last chunk may go beyond: a batch that is parsed whole has this many headers at most.
        assert turn.size <= PARTITION_BYTES + SMALL_BYTES * (1 + HEADER_BYTES // 2)
    if sum(len(record(n, one)) for n, one in enumerate(made)) > SMALL_BYTES:
        assert all(turn.size <= PARTITION_BYTES + SMALL_BYTES * (1 + HEADER_BYTES // 2) // 4 for turn in turns)


@given(st.none() | st.binary(max_size=9), st.none() | st.binary(max_size=9), st.integers(0, 50), st.integers(1, 50))
def test_headers_spend_the_budget_of_a_cycle(key, value, count, times) -> None:
    one = Input("in", 0, 0, 0, key, value, [("", b"")] * count)
    assert one.size == len(key or b"") + len(value or b"") + HEADER_BYTES * count
    budget = Budget(Limits(bytes=20 * HEADER_BYTES, records=1000, seconds=1e9))
    for _ in range(times):
        budget.folded(one.size)
    assert budget.spent(0, 0) == (one.size * times >= 20 * HEADER_BYTES)
