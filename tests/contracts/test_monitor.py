"""The monitor of the workers: when it says that they stopped, what it looks into, and how long a command watches."""

from dataclasses import replace

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from app import clock
from app.config.settings import Settings
from app.kafka.batch_headers import BatchSummary, batch_headers, visible
from app.kafka.group_progress import Offsets, StopCause
from app.kafka.progress_monitor import WorkerMonitor, names, watch
from app.records.topics import Topics
from tests.support.groups import TOPIC, FakeGroup, monitor

LAGGING, MOVED = Offsets(5, 9, 9), Offsets(6, 9, 9)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The boot clock, which a test moves."""
    at = [100.0]
    monkeypatch.setattr(clock, "boot_s", lambda: at[0])
    return at


async def looked(watching: WorkerMonitor, now: list[float], seconds: float) -> StopCause:
    """At its own interval, for so long."""
    end = now[0] + seconds
    while now[0] < end:
        now[0] = min(end, now[0] + watching.interval_s)
        await watching.look()
    assert watching.assessment is not None
    return watching.assessment.cause


@pytest.mark.parametrize("timeout_s", [3.0, 30.0, 300.0])
async def test_a_stop_is_found_within_the_stall_timeout_and_not_much_before(timeout_s: float, now: list[float]) -> None:
    watching = monitor(FakeGroup(1, LAGGING), timeout_s)
    await watching.look()
    assert await looked(watching, now, 0.7 * timeout_s) is StopCause.NONE and watching.problem == ""
    assert await looked(watching, now, 0.3 * timeout_s - watching.interval_s) is StopCause.NO_PROGRESS
    assert watching.stopped == watching.problem != ""


async def test_a_lag_in_which_no_consumer_finds_a_record_is_none_until_the_log_grows(now: list[float]) -> None:
    """Commit markers and aborted transactions, on builds that do not commit beyond them."""
    group = FakeGroup(1, LAGGING)
    group.records, watching = False, monitor(group)
    assert await looked(watching, now, 60.0) is StopCause.NONE
    assert watching.assessment is not None and watching.assessment.lag == {(TOPIC, 0): 0}
    assert group.asked == [(TOPIC, 0)], "once is enough while nothing changes"
    group.records = True
    group.stand(1, Offsets(5, 12, 12))
    assert await looked(watching, now, 60.0) is StopCause.NO_PROGRESS
    assert group.asked == [(TOPIC, 0)] * 2


async def test_while_kafka_is_away_nothing_is_known_and_a_stall_is_proved_anew_afterwards(now: list[float]) -> None:
    group = FakeGroup(1, LAGGING)
    watching = monitor(group)
    assert await looked(watching, now, 30.0) is StopCause.NO_PROGRESS
    group.error = KafkaConnectionError()
    with pytest.raises(KafkaConnectionError):
        await watching.look()
    assert (watching.assessment, watching.stopped, group.closed) == (None, "", 1)
    group.error = None
    assert await looked(watching, now, 3.0) is StopCause.NONE
    assert await looked(watching, now, 30.0) is StopCause.NO_PROGRESS


async def test_partitions_that_alone_stand_still_are_named_and_are_no_stop_of_all(now: list[float]) -> None:
    group = FakeGroup(1, LAGGING, LAGGING)
    watching = monitor(group, 9.0)
    for committed in range(30):
        group.stand(1, LAGGING, Offsets(committed, 99, 99))
        now[0] += 0.9
        await watching.look()
    assert watching.assessment is not None and watching.assessment.cause is StopCause.PARTITIONS_STALLED
    assert watching.stopped == "" and watching.problem.endswith(f" in {TOPIC}-0")


def test_partitions_are_named_shortly() -> None:
    assert names([("b", 1), ("a", 10), ("a", 2)]) == "a-2, a-10, b-1"
    assert names([("a", n) for n in range(5)]) == "a-0, a-1, a-2 and 2 more"


@pytest.mark.parametrize(
    ("reads", "cause", "watched"),
    [
        ([(1, Offsets(9, 9, 9))], StopCause.NONE, False),
        ([(0, LAGGING)], StopCause.NO_WORKER, False),
        ([(1, LAGGING), (1, LAGGING), (1, MOVED)], StopCause.NONE, True),
        ([(1, LAGGING), (0, LAGGING)], StopCause.NO_WORKER, True),
        ([(1, LAGGING)] * 50, StopCause.NO_PROGRESS, True),
    ],
)
async def test_a_command_watches_as_long_as_it_takes_and_no_longer(
    reads: list[tuple[int, Offsets]], cause: StopCause, watched: bool
) -> None:
    class Scripted(FakeGroup):
        async def read(self):
            self.stand(*reads[min(len(self.times), len(reads) - 1)])
            self.times.append(clock.boot_s())
            return await super().read()

        times: list[float] = []

    group, said = Scripted(), list[float]()
    group.times = []
    assessment = await watch(monitor(group, 0.5), said.append)
    assert assessment.cause is cause and bool(said) is watched and group.closed == 1
    assert len(group.times) == len(reads) if cause is not StopCause.NO_PROGRESS else len(group.times) < 20


def test_every_topic_that_an_agent_reads_is_observed() -> None:
    sources = Topics("p.", "p.heliograph", ["acme"]).sources
    assert {"p.notify.requests", "p.notify.requests.acme", "p.notify.updates", "p.contacts", "p.lanes"} <= set(sources)
    assert not {name for name in sources if "changelog" in name or name in ("p.notify.outcomes", "p.notify.metrics")}


BATCHES = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["plain", "a", "b", "commit a", "abort a", "abort b"])))


@given(BATCHES, st.integers(0, 20))
def test_batches_of_a_range_are_visible_exactly_if_a_read_committed_consumer_gets_them(batches, start):
    """`a` and `b` are transactions of two producers; markers end them, and an end without a beginning is left out."""
    headers, aborted, wanted, at, running = [], [], [], 0, {"a": [], "b": []}
    for count, kind in batches:
        word, _, name = kind.partition(" ")
        if name and not running[name]:
            continue
        size, producer = (1, name) if name else (count, kind)
        header = BatchSummary(
            at, at + size - 1, {"plain": -1, "a": 1, "b": 2}[producer], producer != "plain", bool(name)
        )
        headers.append(header)
        at += size
        if name:
            aborted += [(header.producer_id, running[name][0].first)] if word == "abort" else []
            wanted += running[name] if word == "commit" else []
            running[name] = []
        elif kind == "plain":
            wanted.append(header)
        else:
            running[kind].append(header)
    stable = min([at, *(header.first for open_ in running.values() for header in open_)])
    seen = [header for header in headers if header.last < stable]
    expected = sorted(header for header in wanted if header.last >= start and header.last < stable)
    assert sorted(visible(seen, aborted, start)) == expected


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.binary(max_size=30)), max_size=6), st.integers(0, 200))
def test_headers_are_read_off_what_kafkas_own_format_writes_and_a_cut_one_is_left_out(batches, cut):
    from aiokafka.record.default_records import DefaultRecordBatchBuilder

    raw, expected = b"", []
    for count, transactional, value in batches:
        ids = {"producer_id": 7, "producer_epoch": 0, "base_sequence": 0}
        builder = DefaultRecordBatchBuilder(2, 0, transactional, **ids, batch_size=1 << 20)
        for offset in range(count):
            builder.append(offset, 1000, None, value, [])
        raw += bytes(builder.build())
        expected.append(BatchSummary(0, count - 1, 7, transactional, False))
    assert list(batch_headers(raw)) == expected
    assert list(batch_headers(raw[: len(raw) - cut])) == expected[: len(list(batch_headers(raw[: len(raw) - cut])))]


def test_a_monitor_is_made_from_the_settings() -> None:
    made = WorkerMonitor.of(replace(Settings.read({}), stall_timeout_s=3.0), ["default"])
    assert made.interval_s == pytest.approx(0.3) and made.limit_s == pytest.approx(2.4)
