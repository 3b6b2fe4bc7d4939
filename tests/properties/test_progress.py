"""The judgement on the workers' progress: what it says is proved by what was seen, and nothing that moves is stalled."""

from hypothesis import given
from hypothesis import strategies as st

from app.kafka.group_progress import GroupSnapshot, Offsets, ProgressTracker, StopCause

LIMIT_S, STEP_S = 10.0, 1.0
PLACES = (("requests", 0), ("requests", 1), ("contacts", 0))
# By partition: records produced, and records folded of what is there, between two reads.
STEPS = st.lists(
    st.tuples(st.integers(0, 2), *[st.tuples(st.integers(0, 3), st.integers(0, 3))] * len(PLACES)), max_size=60
)


def snapshots(steps):
    """Each read: its time, members, and the offsets of every partition."""
    offsets = dict.fromkeys(PLACES, (0, 0))
    for number, (members, *moves) in enumerate(steps):
        for place, (produced, folded) in zip(PLACES, moves, strict=True):
            committed, end = offsets[place]
            offsets[place] = min(end + produced, committed + folded * min(members, 1)), end + produced
        yield number * STEP_S, GroupSnapshot(members, {p: Offsets(c, e, e) for p, (c, e) in offsets.items()})


@given(STEPS)
def test_a_partition_is_stalled_exactly_if_it_had_a_lag_at_one_offset_for_the_limit(steps):
    tracker, history = ProgressTracker(LIMIT_S), []
    for now_s, snapshot in snapshots(steps):
        history.append(snapshot)
        assessment = tracker.observe(now_s, snapshot)
        window = history[-int(LIMIT_S / STEP_S) - 1 :]
        full = len(window) > LIMIT_S / STEP_S
        for place in PLACES:
            committed = {seen.offsets[place].committed for seen in window}
            lagging = all(seen.offsets[place].lag for seen in window)
            assert (place in assessment.stalled) == (full and lagging and len(committed) == 1)
            moved = len({seen.offsets[place].committed for seen in window}) > 1
            assert not (moved and assessment.cause is StopCause.NO_PROGRESS)


@given(STEPS)
def test_the_cause_is_no_worker_exactly_while_the_group_has_no_member_and_its_time_is_not_in_the_future(steps):
    tracker = ProgressTracker(LIMIT_S)
    for now_s, snapshot in snapshots(steps):
        assessment = tracker.observe(now_s, snapshot)
        assert (assessment.cause is StopCause.NO_WORKER) == (snapshot.members == 0)
        assert assessment.since_s <= now_s
        assert assessment.lag_by_topic().total() == sum(assessment.lag.values())
        if assessment.cause is StopCause.NO_PROGRESS:
            assert assessment.stopped and now_s - assessment.since_s >= LIMIT_S


@given(STEPS, st.integers(0, 59))
def test_what_lies_on_either_side_of_a_gap_is_not_compared(steps, at):
    """The observer was stopped, or Kafka was away: a stall before it says nothing about the time after it."""
    whole, after = ProgressTracker(LIMIT_S), ProgressTracker(LIMIT_S)
    for now_s, snapshot in snapshots(steps):
        shifted_s = now_s + (2 * LIMIT_S if now_s >= at * STEP_S else 0)
        said = whole.observe(shifted_s, snapshot)
        if now_s >= at * STEP_S:
            alone = after.observe(shifted_s, snapshot)
            assert (said.stalled, said.undecided) == (alone.stalled, alone.undecided)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_an_open_transaction_is_told_once_the_last_stable_offset_stood_for_the_limit(moves):
    """And it is no lag: what it holds back no worker may read."""
    tracker, stable, end, stood_s = ProgressTracker(LIMIT_S), 0, 0, None
    for number, (produced, released) in enumerate(moves):
        end += produced
        now_s, before = number * STEP_S, stable
        stable = min(end, stable + released)
        held = end > stable
        stood_s = None if not held else now_s if stood_s is None or stable != before else stood_s
        assessment = tracker.observe(now_s, GroupSnapshot(1, {PLACES[0]: Offsets(stable, stable, end)}))
        assert assessment.transactions == (PLACES[:1] if held and now_s - stood_s >= LIMIT_S else ())
        assert assessment.cause is StopCause.NONE and not assessment.stalled
