"""The bound of a record's append time: never later than the truth, tight while the partition is fetched."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.streams.engine.append_times import APART_S, KEPT, AppendTimes

PLACE = ("contacts", 3)


class Partition:
    """A partition on one clock, some of whose records were there before it was fetched, and its high watermark.

    `known_s`: by record, when the request of the last response before it was sent; `lag`: by how much a new leader's
    high watermark is behind the last one that was seen, 0 if it is not.
    """

    def __init__(self, there_already: int) -> None:
        self.now_s, self.lag = 100.0, 0
        self.appended_s: list[float] = [self.now_s] * there_already
        self.known_s: list[float | None] = [None] * there_already
        self.times = AppendTimes()
        self.seen, self.last_sent_s = 0, None

    def append(self, count: int) -> None:
        self.now_s += 0.001
        self.appended_s += [self.now_s] * count
        self.known_s += [self.last_sent_s] * count

    def fetch(self, waits_s: float, count: int) -> None:
        """A request that is answered after `waits_s`; `count` records are appended in between, half of them before the
        broker answers."""
        sent_s = self.now_s
        self.now_s += waits_s / 2
        self.append(count // 2)
        lags = 0 < self.lag <= self.seen
        end = self.seen - self.lag if lags else len(self.appended_s)
        self.now_s += waits_s / 2
        self.append(count - count // 2)
        self.times.observe(*PLACE, end, sent_s)
        if not lags:
            self.seen, self.last_sent_s = end, sent_s


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 5)),
    st.tuples(st.just("fetch"), st.floats(0, 2), st.integers(0, 4)),
    st.tuples(st.just("pass"), st.floats(0, 100)),
    st.tuples(st.just("lag"), st.integers(0, 3)),
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 5), st.lists(STEPS, max_size=40))
def test_a_bound_is_never_later_than_the_record_and_unknown_only_before_the_first_fetch(there, steps):
    log = Partition(there)
    log.fetch(0.0, 0)
    for name, *given_ in steps:
        if name == "append":
            log.append(*given_)
        elif name == "fetch":
            log.fetch(*given_)
        elif name == "pass":
            log.now_s += given_[0]
        else:
            log.lag = given_[0]
    for offset, appended_s in enumerate(log.appended_s):
        bound = log.times.appended_after(*PLACE, offset)
        assert (bound is None) == (offset < there)
        if bound is not None:
            assert bound <= appended_s
            # As good as what the responses up to then told, but for what is put together.
            best = log.known_s[offset]
            assert best is not None and bound >= best - APART_S


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 0.05), st.integers(0, 5)), min_size=1, max_size=100))
def test_a_bound_is_tight_while_the_partition_is_fetched_all_the_time(fetches):
    log = Partition(2)
    log.fetch(0.01, 0)
    for waits_s, count in fetches:
        log.fetch(waits_s, count)
    for offset, appended_s in list(enumerate(log.appended_s))[2:]:
        bound = log.times.appended_after(*PLACE, offset)
        assert bound is not None and bound >= appended_s - APART_S - 2 * 0.05 - 0.01


def test_what_is_kept_of_a_partition_is_bounded_and_the_latest():
    log = Partition(0)
    for _ in range(10 * KEPT):
        log.fetch(1.0, 1)
    observations = log.times._partitions[PLACE]
    assert len(observations.sent_s) == len(observations.high_watermarks) <= 2 * KEPT
    last = len(log.appended_s) - 1
    bound = log.times.appended_after(*PLACE, last)
    assert bound is not None and log.known_s[last] <= bound <= log.appended_s[last]
    assert log.times.appended_after(*PLACE, 0) is None


def test_a_revoked_partition_is_forgotten_and_no_other():
    log = Partition(0)
    log.fetch(0.0, 1)
    log.times.observe("contacts", 4, 0, 7.0)
    log.times.forget([PLACE])
    assert log.times.appended_after(*PLACE, 0) is None
    assert log.times.appended_after("contacts", 4, 0) == 7.0
