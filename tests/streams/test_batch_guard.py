"""The reading of batches under the poison guard: one that ended the process three times is gone on without."""

from typing import Any

from aiokafka.structs import TopicPartition

from app.kafka.batch_fetching import fetched_records
from app.kafka.partition_batches import BatchPart, PartitionBatches
from app.streams.engine.batch_guard import BatchGuard
from app.streams.engine.crash_marker import CrashMarker, Death, DeathCause, Work, WorkStage
from app.streams.engine.poison_guard import DEATHS, PoisonGuard
from tests.support.batches import TRANSACTIONAL, ProducedBatch, batch

PLACE, ZSTD = TopicPartition("in", 3), 4


def batches() -> bytes:
    made = [[ProducedBatch(b"k", b"%d" % (10 * n + m), []) for m in range(3)] for n in range(3)]
    return b"".join(batch(3 * n, records, codec=ZSTD) for n, records in enumerate(made))


def read(guard: BatchGuard) -> list[Any]:
    found = PartitionBatches(PLACE, batches(), [], 0, fetched_records, True, lambda offset: False, guard)
    return list(found.take(100, 1 << 20, lambda: True).records)


class Watched(BatchGuard):
    """Keeps what it was told."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.told = list[Work]()

    def entering(self, tp: Any, first: int, last: int, at_ms: int) -> int:
        self.told.append(Work(tp.topic, tp.partition, first, last, at_ms))
        return super().entering(tp, first, last, at_ms)


def test_each_batch_is_noted_while_it_is_read_and_none_afterwards(tmp_path):
    marker = CrashMarker(tmp_path)
    watched = Watched(marker.reading, PoisonGuard(tmp_path))
    assert [record.offset for record in read(watched)] == list(range(9))
    assert sorted({(work.first, work.last) for work in watched.told}) == [(0, 2), (3, 5), (6, 8)]
    marker.reading.blame(DeathCause.EXIT)
    assert CrashMarker(tmp_path).deaths == []


def test_a_batch_whose_reading_ended_the_process_three_times_is_one_record_that_says_so(tmp_path):
    marker, guard = CrashMarker(tmp_path), PoisonGuard(tmp_path)
    watched = Watched(marker.reading, guard)
    read(watched)
    second = next(work for work in watched.told if work.first == 3)
    guard.count([Death(second, WorkStage.READ, DeathCause.SIGNAL)] * (DEATHS - 1))
    assert not any(record.unreadable for record in read(watched))
    guard.count([Death(second, WorkStage.READ, DeathCause.SIGNAL)])
    found = read(watched)
    assert [record.offset for record in found] == [0, 1, 2, 3, 6, 7, 8]
    assert [record.unreadable[:11] for record in found if record.unreadable] == ["set aside: "]
    assert "ended the process 3 times" in found[3].unreadable


def test_a_batch_of_an_aborted_transaction_leaves_no_dead_letter_even_if_its_reading_ended_the_process(tmp_path):
    marker, guard = CrashMarker(tmp_path), PoisonGuard(tmp_path)
    told = Watched(marker.reading, guard)
    produced = [ProducedBatch(b"k", b"v", [])]
    data = batch(0, produced, codec=ZSTD, attributes=TRANSACTIONAL, producer=7) + batch(1, produced, codec=ZSTD)

    def read_on() -> BatchPart:
        given = (data, [(7, 0)], 0, fetched_records, True, lambda offset: False, told)
        return PartitionBatches(PLACE, *given).take(9, 1 << 20, lambda: True)

    read_on()
    guard.count([Death(told.told[0], WorkStage.READ, DeathCause.SIGNAL)] * DEATHS)
    assert [(record.offset, record.unreadable) for record in read_on().records] == [(1, "")]
