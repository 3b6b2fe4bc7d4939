"""Kafka or the spool: every record that was taken reaches Kafka, in order, however often it goes and comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.ingress.durable.record import LogRecord
from app.ingress.durable.spool import Spool
from app.ingress.durable.writer import ACK_S, LogUnavailableError, LogWriter
from app.records.seal import Sealer
from tests.support.ingress_server import FakeKafka, FakeLine, door, eventually

ACME, BETA = "notify.requests.acme", "notify.requests.beta"


def record(n: int, topic: str = "contacts") -> LogRecord:
    return LogRecord(topic, b"key", b"%d" % n)


@asynccontextmanager
async def logging(path: Path, kafka: FakeKafka) -> AsyncIterator[LogWriter]:
    faults: list[BaseException] = []
    spool = Spool(path, Sealer({"k1": b"k" * 32}), frozenset())
    log = LogWriter(spool, kafka.open, faults.append, tenant_topics=(ACME, BETA))  # type: ignore[arg-type]
    await log.start()
    yield log
    await log.stop()
    assert faults == []


def numbers(kafka: FakeKafka) -> list[int]:
    return [int(one.value) for one in kafka.records]


async def test_while_kafka_is_here_the_spool_is_not_touched(tmp_path: Path) -> None:
    kafka = FakeKafka()
    async with logging(tmp_path, kafka) as log:
        for n in range(5):
            await log.put(record(n))
            assert numbers(kafka) == list(range(n + 1))
        assert (log.produced, log.spooled, log.away) == (5, 0, False)
        assert list(tmp_path.iterdir()) == []


async def test_p4_without_kafka_the_door_opens_onto_the_spool_and_all_goes_out_once_it_is_there(tmp_path: Path) -> None:
    kafka = FakeKafka()
    kafka.here = False
    async with logging(tmp_path, kafka) as log:
        for n in range(5):
            await log.put(record(n))
        assert log.away and log.fault() == "" and log.spooled_bytes > 0
        kafka.here = True
        await eventually(lambda: not log.away)
        await log.put(record(5))
    assert numbers(kafka) == list(range(6))
    assert list(tmp_path.iterdir()) == []


async def test_p4_a_kafka_that_says_nothing_is_given_up_in_time_for_twilio(tmp_path: Path) -> None:
    kafka = FakeKafka()
    async with logging(tmp_path, kafka) as log:
        kafka.silent = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        await log.put(record(1))
        first = loop.time() - began
        await log.put(record(2))
        assert ACK_S <= first < ACK_S + 1 and loop.time() - began - first < 0.5
        kafka.silent = False
        await eventually(lambda: numbers(kafka) == [1, 2], 20)


@pytest.mark.parametrize("away", [True, False])
async def test_p4_a_record_that_kafka_refuses_is_set_aside_and_all_others_reach_it_in_order(
    tmp_path: Path, away: bool
) -> None:
    kafka = FakeKafka()
    kafka.here, kafka.refused = not away, b"3"
    async with logging(tmp_path, kafka) as log:
        await asyncio.gather(*(log.put(record(n)) for n in range(6)))
        kafka.here = True
        await eventually(lambda: not log.away and log.refused == 1)
        await log.put(record(6))
    assert list(dict.fromkeys(numbers(kafka))) == [0, 1, 2, 4, 5, 6]
    [aside] = tmp_path.iterdir()
    aside.rename(aside.with_suffix(".spool"))
    kafka.refused = None
    async with logging(tmp_path, kafka) as log:
        await eventually(lambda: numbers(kafka)[-1] == 3)
    assert list(tmp_path.iterdir()) == []


async def test_p7_a_tenants_topic_that_kafka_forbids_holds_up_that_tenant_alone_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    kafka = FakeKafka()
    kafka.forbidden = {ACME}
    async with logging(tmp_path, kafka) as log:
        await log.put(record(0, ACME))
        await asyncio.gather(
            *(log.put(record(n)) for n in range(1, 4)), *(log.put(record(n, BETA)) for n in range(4, 6))
        )
        await eventually(lambda: not log.away and log.refused == 1)
        with pytest.raises(LogUnavailableError):
            await log.put(record(6, ACME))
        await log.put(record(7))
        assert not log.away, "what is refused at once breaks no line"
    assert sorted(set(numbers(kafka))) == [1, 2, 3, 4, 5, 7]
    assert all(numbers(kafka).count(n) <= 2 for n in range(8)), "once, and once more with the chunk that was refused"
    [aside] = tmp_path.iterdir()
    aside.rename(aside.with_suffix(".spool"))
    kafka.forbidden = set()
    async with logging(tmp_path, kafka) as log:
        await eventually(lambda: numbers(kafka)[-1] == 0)


async def test_p4_what_kafka_forbids_on_a_topic_of_all_tenants_waits_in_its_place_and_nothing_is_sent_again_and_again(
    tmp_path: Path,
) -> None:
    kafka = FakeKafka()
    kafka.here = False
    async with logging(tmp_path, kafka) as log:
        for n in range(4):
            await log.put(record(n, BETA if n in (0, 3) else "contacts"))
        kafka.here, kafka.forbidden = True, {"contacts"}
        await eventually(lambda: kafka.opened >= 6)
        assert log.refused == 0 and numbers(kafka).count(0) <= 2 and numbers(kafka).count(3) <= 1
        kafka.forbidden = set()
        await eventually(lambda: not log.away)
    assert list(dict.fromkeys(reversed(numbers(kafka))))[::-1] == [0, 1, 2, 3]


async def test_p4_what_a_stopped_process_left_in_the_spool_goes_first_in_the_next_one(tmp_path: Path) -> None:
    kafka = FakeKafka()
    kafka.here = False
    async with logging(tmp_path, kafka) as log:
        await log.put(record(1))
    kafka.here = True
    async with logging(tmp_path, kafka) as log:
        await log.put(record(2))
        await eventually(lambda: not log.away)
    assert numbers(kafka) == [1, 2]


async def test_a_line_that_was_to_send_the_spool_is_closed_when_the_process_stops_meanwhile(tmp_path: Path) -> None:
    kafka = FakeKafka()
    kafka.here = False
    async with logging(tmp_path, kafka) as log:
        await log.put(record(1))
    kafka.here = kafka.silent = True
    async with logging(tmp_path, kafka):
        await eventually(lambda: kafka.opened == 1)
    assert kafka.closed == 1 and numbers(kafka) == []


async def test_p4_a_line_that_breaks_while_the_spool_is_sent_is_replaced_and_the_order_is_kept(tmp_path: Path) -> None:
    kafka = FakeKafka()
    async with logging(tmp_path, kafka) as log:
        kafka.breaks = 3
        await log.put(record(0))
        for n in range(1, 100):
            await log.put(record(n))
            await asyncio.sleep(0.01)
        await eventually(lambda: not log.away)
    assert numbers(kafka) == list(range(100)) and kafka.opened == 4


async def test_p4_what_waits_for_a_kafka_that_went_goes_to_the_spool_before_what_comes_then(tmp_path: Path) -> None:
    """All wait at most as long as the first of them, and nothing overtakes them."""
    kafka = FakeKafka()
    async with logging(tmp_path, kafka) as log:
        kafka.silent, kafka.here = True, False
        waiting = [asyncio.ensure_future(log.put(record(0)))]
        await asyncio.sleep(ACK_S / 2)
        waiting += [asyncio.ensure_future(log.put(record(n))) for n in range(1, 5)]
        await eventually(lambda: log.away)
        waiting.append(asyncio.ensure_future(log.put(record(5))))
        await waiting[-1]
        assert (log.produced, log.spooled) == (0, 6)
        kafka.silent, kafka.here = False, True
        await eventually(lambda: not log.away)
        await asyncio.gather(*waiting)
    assert numbers(kafka) == list(range(6))


class Leisurely(FakeKafka):
    """It acknowledges nothing at once, as a real one."""

    async def open(self) -> FakeLine:
        class Slow(FakeLine):
            async def send_all(self, records: list[LogRecord]) -> None:
                await asyncio.sleep(0.02)
                await super().send_all(records)

        if not self.here:
            raise KafkaConnectionError
        return Slow(self)


async def test_the_spool_is_emptied_though_records_come_faster_than_kafka_takes_one(tmp_path: Path) -> None:
    kafka, count, over = Leisurely(), 0, False
    kafka.here = False

    async def people(pause_s: float) -> None:
        nonlocal count
        while not over:
            count += 1
            await log.put(record(count))
            await asyncio.sleep(pause_s)

    async with logging(tmp_path, kafka) as log:
        busy = [asyncio.ensure_future(people(n / 10_000)) for n in range(20)]
        await eventually(lambda: log.spooled > 100)
        kafka.here = True
        try:
            await eventually(lambda: not log.away)
        finally:
            over = True
        await asyncio.gather(*busy)
    assert numbers(kafka) == list(range(1, count + 1))


async def test_p4_what_waits_for_the_spool_to_end_is_overtaken_by_nothing_that_comes_as_it_ends(tmp_path: Path) -> None:
    gates = [asyncio.Event(), asyncio.Event()]

    class Gated(FakeKafka):
        async def open(self) -> FakeLine:
            class Waiting(FakeLine):
                async def send_all(self, records: list[LogRecord]) -> None:
                    if self._kafka.sends:
                        await self._kafka.sends.pop(0).wait()
                    await super().send_all(records)

            await super().open()
            return Waiting(self)

    kafka = Gated()
    kafka.sends, kafka.here = list(gates), False
    async with logging(tmp_path, kafka) as log:
        await log.put(record(0))
        kafka.here = True
        await eventually(lambda: len(kafka.sends) == 1)
        await log.put(record(1))  # onto the spool still
        gates[0].set()
        await eventually(lambda: not kafka.sends)
        waiting = asyncio.create_task(log.put(record(2)))
        await asyncio.sleep(0)
        gates[1].set()
        # Its turn comes between the end of the spool and that of the one that waits.
        await asyncio.gather(asyncio.create_task(log.put(record(3))), waiting)
    assert numbers(kafka) == [0, 1, 2, 3]


async def test_p4_who_outlives_another_on_the_same_directory_sends_what_that_one_left(tmp_path: Path) -> None:
    kafka = FakeKafka()
    kafka.here = False
    async with logging(tmp_path, kafka) as heir:
        async with logging(tmp_path, kafka) as other:
            await other.put(record(1))
        await heir.put(record(2))
        kafka.here = True
        await eventually(lambda: not heir.away)
    assert sorted(numbers(kafka)) == [1, 2] and list(tmp_path.iterdir()) == []


STEPS = st.lists(st.sampled_from(["put", "put", "put", "go", "come", "breathe"]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_p4_every_record_taken_is_on_kafka_in_order_however_it_comes_and_goes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    async def history() -> None:
        kafka, n = FakeKafka(), 0
        async with logging(tmp_path_factory.mktemp("spool"), kafka) as log:
            for step in [*steps, "come"]:
                if step == "put":
                    await log.put(record(n))
                    n += 1
                elif step == "breathe":
                    await asyncio.sleep(0.01)
                else:
                    kafka.here = step == "come"
            await eventually(lambda: len(set(numbers(kafka))) == n and not (log.away and n))
        assert list(dict.fromkeys(numbers(kafka))) == list(range(n))

    asyncio.run(history())


async def test_503_is_said_only_while_neither_kafka_nor_the_disk_takes_it_and_both_are_tried_again(
    tmp_path: Path,
) -> None:
    kafka = FakeKafka()
    async with door(tmp_path, kafka) as made:
        kafka.here = False
        assert (await made.report()).status_code == 204
        kafka.here = True
        await eventually(lambda: not made.ingress.log.away)
        kafka.here = False
        spool = tmp_path / "spool"
        spool.rmdir()
        spool.touch()
        with capture_logs() as lines:
            answer, asked = await made.report(), await made.ask({"to": "+14155550123", "body": "x"})
        assert (answer.status_code, asked.status_code) == (503, 503)
        assert [line["event"] for line in lines].count("spool.refused") == 1
        assert answer.headers["content-type"] == "application/problem+json"
        ready = await made.http.get(made.internal + "/readyz")
        assert ready.status_code == 503 and "spool" in ready.text
        kafka.here = True
        await eventually(lambda: not made.ingress.log.away)
        assert (await made.report()).status_code == 204
        assert (await made.http.get(made.internal + "/readyz")).status_code == 200
    assert len(kafka.of("contacts")) == 2


async def test_a_kafka_that_is_not_ours_ends_the_process_and_nothing_is_written_to_it(tmp_path: Path) -> None:
    class Foreign(FakeKafka):
        async def open(self):
            if self.here:
                raise LookupError("written under another key")
            return await super().open()

    kafka, faults = Foreign(), []
    kafka.here = False
    log = LogWriter(Spool(tmp_path, Sealer({"k1": b"k" * 32}), frozenset()), kafka.open, faults.append)
    await log.start()
    await log.put(record(1))
    kafka.here = True
    await eventually(lambda: faults)
    assert [str(fault) for fault in faults] == ["written under another key"] and kafka.records == []
    await log.stop()
    async with logging(tmp_path, FakeKafka()) as other:
        await eventually(lambda: other.spooled_bytes == 0)


async def test_a_log_that_cannot_drain_says_unavailable_without_losing_its_way(tmp_path: Path) -> None:
    kafka = FakeKafka()
    kafka.here = False
    async with logging(tmp_path / "spool", kafka) as log:
        (tmp_path / "spool").rmdir()
        for _ in range(2):
            with pytest.raises(LogUnavailableError):
                await log.put(record(1))
        (tmp_path / "spool").mkdir()
        await log.put(record(2))
        assert log.fault() == ""
        kafka.here = True
        await eventually(lambda: numbers(kafka) == [2])
