"""Counting once, as a property: whatever rows a crash keeps and whatever comes again, the totals are the same."""

from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from app.domain.metrics.windows import KEPT_MS
from tests.support.counted import START_MS, Counter, Store, totals, update

EVENTS = ["taken", "refused", "doubted", "opened", "outcome", "progressed"]


@st.composite
def logs(draw):
    """Updates with rising causes; their times rise, with some disorder, over up to two days."""
    count, at_ms, log = draw(st.integers(1, 25)), START_MS, []
    for n in range(count):
        at_ms += draw(st.sampled_from([0, 1_000, 70_000, KEPT_MS // 2, KEPT_MS + 120_000]))
        event = draw(st.sampled_from(EVENTS))
        log.append(
            update(
                n // 2,
                n % 2,
                at_ms=at_ms - draw(st.sampled_from([0, 0, 0, 59_000, KEPT_MS // 2])),
                event=event,
                state="delivered" if event == "outcome" else event,
                revision=1 if event == "outcome" else 0,
                lane=draw(st.sampled_from(["main", "bulk", "nowhere"])),
                error_class="configuration" if event == "refused" else "",
                error_code=draw(st.sampled_from([None, 30003, 12345])),
                request_to_create_ms=draw(st.integers(0, 10_000)) if event == "taken" else None,
            )
        )
    return log


@st.composite
def topics(draw):
    """A log, and the topic it becomes when its writer crashes now and then: stretches of it written again."""
    log = draw(logs())
    topic = []
    for n, one in enumerate(log):
        topic.append(one)
        if draw(st.integers(0, 9)) == 9:
            again = draw(st.integers(1, min(6, n + 1)))
            topic += log[n + 1 - again : n + 1]
    return log, topic


@settings(max_examples=300, deadline=None)
@cases(topics(), st.data())
def test_any_crash_of_either_agent_gives_the_same_totals(given, data):
    log, topic = given
    expected: dict = {}
    Counter(Store(), expected).cycle(dict(enumerate(log)))

    store, said, place, committed = Store(), {}, 0, 0
    life = Counter(store, said)
    while place < len(topic):
        end = len(topic) - data.draw(st.integers(0, len(topic) - place - 1))
        cycle = {n: topic[n] for n in range(place, end)}
        if data.draw(st.integers(0, 3)) == 3:
            life.cycle(cycle, kept=data.draw(st.integers(0, 12)))
            life, place = Counter(store, said), committed
            continue
        life.cycle(cycle)
        place = end
        committed = data.draw(st.integers(committed, place))
    assert totals(said) == totals(expected)
