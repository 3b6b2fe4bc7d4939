"""From windows to counters: each counted once, in any order, and never falling."""

from hypothesis import given as cases
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from app.bridge import counters as module
from app.bridge.counters import Counters
from app.domain.metrics.series import LABELS, beforehand
from app.domain.metrics.windows import DELIVERY_S, KEPT_MS, METRICS
from app.records.metrics import NotifyMetric
from tests.support.bridged import Samples, metric

START_MS = 1_800_000_000_000
TAKEN = "heliograph_taken_total{country=US,lane=default,tenant=default}"


def seen(counters: Counters) -> Samples:
    registry = CollectorRegistry()
    registry.register(counters)
    return Samples(generate_latest(registry).decode())


def folded(*records: NotifyMetric) -> Samples:
    counters = Counters(())
    for record in records:
        counters.fold(record)
    counters.shown_before()
    return seen(counters)


def took(seconds: float, count: int, **given: object) -> NotifyMetric:
    buckets = [0] * (len(DELIVERY_S) + 1)
    buckets[2] = count
    labels = {"tenant": "default", "country": "US"}
    return metric(
        "create_to_delivered_seconds", count, labels=labels, bounds=DELIVERY_S, buckets=tuple(buckets),
        sum=round(seconds * count, 3), **given,
    )  # fmt: skip


def test_windows_and_shards_add_up():
    assert folded(metric("taken", 3), metric("taken", 4, shard=1), metric("taken", 5, ago=1))[TAKEN] == 12


def test_a_later_value_replaces_the_earlier_and_repeats_add_nothing():
    assert folded(metric("taken", 3), metric("taken", 3), metric("taken", 7), metric("taken", 7))[TAKEN] == 7


def test_a_value_smaller_than_before_is_an_older_one_and_lowers_nothing():
    assert folded(metric("taken", 7), metric("taken", 3), metric("taken", 8))[TAKEN] == 8


def test_what_lies_before_the_start_of_counting_is_not_counted():
    counters = Counters(())
    counters.since_ms = START_MS
    counters.fold(metric("taken", 3, window_ms=START_MS - 60_000))
    counters.fold(metric("taken", 4, window_ms=START_MS))
    counters.shown_before()
    assert seen(counters)[TAKEN] == 4


def test_a_window_that_was_forgotten_is_not_counted_again():
    late = metric("taken", 3, window_ms=START_MS)
    assert folded(late, metric("taken", 1, window_ms=START_MS + KEPT_MS + 60_000), late)[TAKEN] == 4


def test_a_shard_that_is_ahead_does_not_make_another_shards_windows_too_old():
    ahead = metric("taken", 1, window_ms=START_MS + 2 * KEPT_MS)
    behind = metric("taken", 3, window_ms=START_MS, shard=1)
    assert folded(ahead, behind, behind)[TAKEN] == 4


def test_a_histogram_is_cumulative_with_count_and_sum():
    samples = folded(took(3.0, 2), took(3.0, 4), took(4.0, 1, shard=1))
    name = "heliograph_create_to_delivered_seconds"
    assert samples[f"{name}_count{{country=US,tenant=default}}"] == 5
    assert samples[f"{name}_sum{{country=US,tenant=default}}"] == 16.0
    assert samples[f"{name}_bucket{{country=US,le=2.0,tenant=default}}"] == 0
    assert samples[f"{name}_bucket{{country=US,le=5.0,tenant=default}}"] == 5
    assert samples[f"{name}_bucket{{country=US,le=+Inf,tenant=default}}"] == 5


def test_a_series_is_first_shown_at_zero_so_that_its_first_increase_is_seen():
    counters = Counters(())
    counters.fold(metric("taken", 7))
    assert [seen(counters)[TAKEN], seen(counters)[TAKEN]] == [0, 7]
    counters.fold(metric("taken", 8))
    assert seen(counters)[TAKEN] == 8


def test_an_unknown_metric_and_one_with_other_bounds_are_counted_as_unknown_and_nothing_else():
    samples = folded(metric("guessed", 1), metric("create_to_delivered_seconds", 1, bounds=(1.0,), buckets=(1, 0)))
    assert samples["heliograph_bridge_unknown_total{}"] == 2 and samples.ours() == {}


def test_series_that_are_sure_to_come_are_there_before_with_a_lane_only_beside_its_tenant():
    known = set(beforehand({"acme": ("main",), "beta": ("slow",)}, ("US",)))
    assert ("accepted", ("acme", "US", "main")) in known and ("outcomes", ("beta", "US", "delivered")) in known
    assert ("refused", ("beta", "slow", "throttled")) in known
    assert not [key for key in known if key[1][0] == "acme" and "slow" in key[1]]
    assert {metric for metric, _ in known} == set(METRICS) - {"errors"}
    assert set(seen(Counters(known)).ours().values()) == {0.0}


def test_labels_that_can_be_unlisted_are_those_of_the_metrics():
    assert set(LABELS) == {name for _, names in METRICS.values() for name in names} - {"label"}


@st.composite
def histories(draw):
    """Per shard a topic of rising values with repeats, and two ways of reading the shards side by side."""
    shards = []
    for shard in range(2):
        records = []
        for minute in range(draw(st.integers(1, 3))):
            for count in sorted(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))):
                records.append(took(draw(st.sampled_from([0.1, 0.7, 3.3])), count, window_ms=START_MS + minute * 60_000,
                                    shard=shard))  # fmt: skip
                records += records[-1:] * draw(st.integers(0, 1))
        shards.append(records)
    return shards, draw(st.lists(st.booleans(), max_size=30)), draw(st.lists(st.booleans(), max_size=30))


def interleaved(shards: list[list[NotifyMetric]], turns: list[bool]) -> list[NotifyMetric]:
    left, right = list(shards[0]), list(shards[1])
    read = [(left if turn else right).pop(0) for turn in turns if (left if turn else right)]
    return read + left + right


@cases(histories())
def test_the_order_in_which_shards_are_read_changes_no_bit(given):
    shards, one, other = given
    assert folded(*interleaved(shards, one)) == folded(*interleaved(shards, other))


def test_what_cannot_be_added_up_is_counted_as_unknown_and_spoils_nothing():
    buckets = (0,) * len(DELIVERY_S)
    odd = [
        metric("taken", 1e300),
        metric("taken", -1),
        metric("taken", 5, sum=1e308),
        metric("taken", 5, buckets=(1,)),
        metric("create_to_delivered_seconds", 1, bounds=DELIVERY_S, buckets=buckets),
        metric("create_to_delivered_seconds", 1, bounds=DELIVERY_S, buckets=(*buckets, 10**400)),
    ]
    counters = Counters(())
    for record in (*odd, metric("taken", 7)):
        counters.fold(record)
    counters.shown_before()
    assert counters.unknown == len(odd) and seen(counters)[TAKEN] == 7


def test_labels_that_are_not_ours_make_no_series_without_end(monkeypatch):
    monkeypatch.setattr(module, "MORE_SERIES", 3)
    labels = [{"tenant": "default", "country": "US", "lane": f"made up {n}"} for n in range(9)]
    counters = Counters(())
    for one in labels:
        counters.fold(metric("taken", 1, labels=one))
    counters.fold(metric("taken", 2, labels=labels[0]))
    counters.shown_before()
    shown = [value for name, value in seen(counters).items() if name.startswith("heliograph_taken_total")]
    assert counters.unknown == 6 and sorted(shown) == [1, 1, 2]
