"""An ingress whose spool only grows says so: unready if Kafka forbids it to write, degraded if Kafka is away."""

from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from app import clock
from app.ingress.durable.record import LogRecord
from app.ingress.durable.spool_progress import SpoolProgress
from tests.support.ingress_server import UNLIMITED, FakeKafka, FakeLine, IngressServer, door, eventually

SOON = UNLIMITED | {"HELIOGRAPH_STALL_TIMEOUT_S": "0.05"}


class ForbiddingKafka(FakeKafka):
    """It answers, and takes nothing of us while `forbids`."""

    forbids = True

    async def open(self) -> FakeLine:
        kafka = self

        class Forbidden(FakeLine):
            async def send_all(self, records: list[LogRecord]) -> None:
                if kafka.forbids:
                    raise TopicAuthorizationFailedError
                await super().send_all(records)

        return Forbidden(self)


async def ready(made: IngressServer) -> tuple[int, str]:
    answer = await made.http.get(made.internal + "/readyz")
    return answer.status_code, answer.text


async def until_said(made: IngressServer, status: int, text: str) -> None:
    """Webhooks are taken all the while."""
    while (said := await ready(made))[0] != status or text not in said[1]:
        assert (await made.report()).status_code == 204
        await eventually(lambda: made.ingress.log.away)


async def test_an_ingress_that_must_not_write_is_not_ready_and_is_again_once_it_may(tmp_path: Path) -> None:
    kafka = ForbiddingKafka()
    async with door(tmp_path, kafka, extra=SOON) as made:
        assert await ready(made) == (200, "ok")
        assert (await made.report()).status_code == 204
        await until_said(made, 503, "the spool only grows since 20")
        assert "TopicAuthorizationFailedError" in (await ready(made))[1]
        kafka.forbids = False
        await eventually(lambda: not made.ingress.log.away)
        assert await ready(made) == (200, "ok") and kafka.records


async def test_an_ingress_whose_kafka_is_away_stays_ready_and_says_it(tmp_path: Path) -> None:
    """Kafka is away from every ingress: where none is ready, webhooks are lost that the spool would keep."""
    kafka = FakeKafka()
    kafka.here = False
    async with door(tmp_path, kafka, extra=SOON) as made:
        assert (await made.report()).status_code == 204
        await until_said(made, 200, "ok\ndegraded: the spool only grows since 20")
        assert "KafkaConnectionError" in (await ready(made))[1]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [100.0]
    monkeypatch.setattr(clock, "boot_s", lambda: at[0])
    return at


def test_a_spool_stalls_only_after_the_whole_time_without_a_record_that_left(now: list[float]) -> None:
    progress = SpoolProgress(stall_s=30.0)
    progress.failed(KafkaConnectionError())
    now[0] += 30.0
    assert progress.stalled(forbidden=False) == ""
    now[0] += 0.1
    assert progress.stalled(forbidden=False) != "" == progress.stalled(forbidden=True)
    progress.moved()
    assert progress.stalled(forbidden=False) == ""
    now[0] += 31
    progress.failed(TopicAuthorizationFailedError())
    assert progress.stalled(forbidden=True) != "" == progress.stalled(forbidden=False)
    progress.begin()
    now[0] += 31
    assert progress.stalled(forbidden=False).endswith("nothing of it could be sent")
