"""What is counted, under which labels, and that it is counted once."""

import msgspec
import pytest

from app.domain.metrics.windows import KEPT_MS
from app.records.envelope import Cause
from app.records.numbers import NotifyNumberChanged
from app.streams.agents.metrics import METRICS, MetricsAgent
from app.streams.engine.agent import Input, TableSpec
from app.streams.engine.overlay import Overlay
from tests.support.counted import MINUTE_MS, START_MS, Counter, Store, counted, totals, update


def outcome(offset: int, word: str, **given: object):
    return update(offset, event="outcome", state=word, revision=1, request_to_create_ms=None, **given)


def test_a_taken_call_counts_once_with_its_segments_and_how_long_it_took():
    life = Counter(Store(), {})
    life.cycle({0: update(1), 1: update(2, request_to_create_ms=6_000)})
    said = {metric.metric: metric for metric in life.said.values()}
    assert (said["taken"].value, said["segments"].value) == (2, 4)
    took = said["request_to_create_seconds"]
    assert took.value == 2 and took.sum == 6.04
    assert {bound: n for bound, n in zip(took.bounds, took.buckets, strict=False) if n} == {0.05: 1, 10.0: 1}


def test_a_time_far_ahead_of_its_record_counts_when_it_was_told_and_closes_no_window():
    life = Counter(Store(), {})
    for offset, at_ms in enumerate((START_MS + 10 * KEPT_MS, START_MS)):
        raw = msgspec.json.encode(update(offset, at_ms=at_ms))
        record = Input("notify.updates", 0, offset, START_MS, b"m", raw, [])
        life.agent.fold(record, Overlay(life.agent.tables, {METRICS: life.store}))  # type: ignore[dict-item] # as there
    life.cycle({})
    assert [m.value for m in life.said.values() if m.metric == "taken"] == [2]


def test_a_duration_beyond_every_bound_falls_in_the_last_bucket():
    life = Counter(Store(), {})
    life.cycle({0: update(1, request_to_create_ms=4_000_000)})
    took = next(m for m in life.said.values() if m.metric == "request_to_create_seconds")
    assert took.buckets[-1] == 1 and len(took.buckets) == len(took.bounds) + 1


def test_only_the_first_revision_of_an_outcome_counts():
    assert counted(outcome(1, "failed"), update(2, event="outcome", state="delivered", revision=2)) == {
        ("outcomes", "acme", "US", "failed"): 1
    }


def test_suppressed_messages_are_no_accepted_ones():
    opened = update(1, event="opened", state="final")
    assert counted(opened, outcome(2, "suppressed")) == {
        ("outcomes", "acme", "US", "suppressed"): 1,
        ("suppressed", "acme", "US", "main"): 1,
    }


def test_a_lane_stands_only_beside_its_own_tenant():
    seen = counted(update(1, event="doubted", lane="beta-main"), update(2, event="doubted", tenant="beta", lane="main"))
    assert seen == {("doubted", "acme", "other"): 1, ("doubted", "beta", "other"): 1, ("unlisted", "lane"): 2}


def test_what_is_on_no_list_counts_as_other_and_that_is_counted_by_label():
    seen = counted(
        update(1, event="doubted", tenant="+14155550123", lane="main"),
        update(2, event="refused", error_class="moonphase", error_code=99999),
        update(3, event="outcome", state="guessed", revision=1, country="XX"),
    )
    assert seen[("doubted", "other", "other")] == 1
    assert seen[("refused", "acme", "main", "other")] == 1
    assert seen[("errors", "acme", "other")] == 1
    assert seen[("outcomes", "acme", "other", "other")] == 1
    unlisted = {key[1]: value for key, value in seen.items() if key[0] == "unlisted"}
    assert unlisted == {"tenant": 1, "lane": 1, "error_class": 1, "error_code": 1, "country": 1, "outcome": 1}


def test_a_label_that_no_series_of_the_update_uses_is_not_called_unlisted():
    assert counted(update(1, event="doubted", country="XX")) == {("doubted", "acme", "main"): 1}


def test_an_update_that_comes_again_adds_nothing():
    life = Counter(Store(), {})
    life.cycle({0: update(1), 1: update(2)})
    before = totals(life.said)
    life.cycle({2: update(1), 3: update(2)})
    assert totals(life.said) == before
    life.cycle({4: update(2, 1)})
    assert totals(life.said) != before


def test_after_a_crash_between_two_rows_the_lost_window_counts_again_and_the_kept_one_does_not():
    store, said = Store(), {}
    Counter(store, said).cycle({0: update(1), 1: update(2)}, kept=1)
    assert len(store) == 1
    Counter(store, said).cycle({0: update(1), 1: update(2)})
    assert sorted({metric.value for metric in said.values()}) == [2, 4]
    assert len(store) == 3


def test_windows_of_more_than_two_hours_ago_leave_the_table_once_a_newer_one_is_durable():
    store = Store()
    life = Counter(store, {})
    life.cycle({0: update(1)})
    old = set(store)
    life.cycle({1: update(2, at_ms=START_MS + KEPT_MS + MINUTE_MS)})
    assert old < set(store)
    life.cycle({})
    assert not old & set(store) and store


def test_an_update_that_would_reopen_a_window_is_not_counted():
    store, said = Store(), {}
    life = Counter(store, said)
    life.cycle({0: update(0), 1: update(1)})
    life.cycle({2: update(2, at_ms=START_MS + KEPT_MS + MINUTE_MS)})
    life.cycle({})
    before = totals(said)
    life.cycle({3: update(3)})
    assert totals(said) == before
    Counter(store, said).cycle({3: update(3)})
    assert totals(said) == before


@pytest.mark.parametrize("kept", range(8))
def test_a_window_counted_in_for_the_last_time_does_not_leave_before_what_forbids_to_reopen_it_is_kept(kept):
    store, said = Store(), {}
    Counter(store, said).cycle({0: update(0), 1: update(1)})
    late = {2: update(2), 3: update(3, at_ms=START_MS + KEPT_MS + MINUTE_MS)}
    Counter(store, said).cycle(late, kept=kept)
    Counter(store, said).cycle(late)
    assert sorted(m.value for m in said.values() if m.metric == "taken") == [1, 3]


def test_a_window_knows_its_own_place_on_the_topic_of_updates():
    store = Store()
    Counter(store, {}).cycle({70: update(5), 71: update(6)})
    spec: TableSpec = MetricsAgent.tables[0]
    assert spec.name == METRICS and spec.watermark is not None
    assert {spec.watermark(row) for row in store.values()} == {71}


def test_news_of_a_number_is_read_and_counts_nothing():
    changed = NotifyNumberChanged(
        id="n",
        at="2026-11-25T02:27:51.998Z",
        tenant="acme",
        contact_id="0" * 20,
        state="invalid",
        reason="number_invalid",
        cause=Cause(0, 1, 0),
    )
    life = Counter(Store(), {})
    overlay = Overlay(life.agent.tables, {METRICS: life.store})
    life.agent.fold(Input("notify.updates", 0, 0, 0, b"m", msgspec.json.encode(changed), []), overlay)
    life.agent.tick(0, overlay)
    assert overlay.outputs == []
