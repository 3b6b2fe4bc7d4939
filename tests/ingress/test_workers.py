"""What the ingress says of workers that do not work: a header, a line of its health, metrics; never another status."""

from pathlib import Path

from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError

from app.kafka.group_progress import Offsets
from tests.support.bridged import Samples
from tests.support.groups import FakeGroup, monitor
from tests.support.ingress_server import MESSAGE, IngressServer, door, eventually
from tests.support.keyring import ACME_KEY, WRONG_KEY
from tests.support.openapi import answer_faults, operations

EVENT = {"to": "+14155550123", "body": "Hi."}
OPERATIONS = {(method, path): operation for method, path, operation in operations()}
IDLE, LAGGING = Offsets(5, 5, 5), Offsets(5, 9, 9)


async def documented(made: IngressServer, method: str, path: str) -> str:
    """The body of a page of the internal port, which answers 200 as documented."""
    answer = await made.http.request(method, made.internal + path)
    assert (answer.status_code, answer_faults(OPERATIONS[method, path], answer)) == (200, [])
    return answer.text


async def test_what_is_kept_while_no_worker_works_is_answered_with_a_warning_until_one_does(tmp_path: Path) -> None:
    group = FakeGroup(0, IDLE)
    async with door(tmp_path, workers=monitor(group, 0.2)) as made:
        await eventually(lambda: made.ingress.workers.stopped)
        asked = await made.ask(EVENT)
        key = {"Authorization": f"Bearer {ACME_KEY}"}
        canceled = await made.http.delete(f"/v1/messages/{MESSAGE}", headers=key)
        for where, answer in ((("POST", "/v1/messages"), asked), (("DELETE", "/v1/messages/{id}"), canceled)):
            assert answer.status_code == 202 and answer_faults(OPERATIONS[where], answer) == []
            assert answer.headers["Heliograph-Warning"].endswith("Z: none is running")
        refused = await made.ask(EVENT, WRONG_KEY)
        assert refused.status_code == 401 and "Heliograph-Warning" not in refused.headers
        for path in ("/healthz", "/readyz"):
            assert (await documented(made, "GET", path)).startswith("ok\ndegraded: no worker makes progress since 2")
        group.stand(1, LAGGING)
        await eventually(lambda: made.ingress.workers.stopped.endswith("Z"))
        assert "Heliograph-Warning" in (await made.ask(EVENT)).headers
        group.stand(1, IDLE)
        await eventually(lambda: not made.ingress.workers.problem)
        assert "Heliograph-Warning" not in (await made.ask(EVENT)).headers
        assert await documented(made, "GET", "/healthz") == "ok"
    assert group.closed and len(made.kafka.of("notify.requests.acme")) == 4


async def test_an_ingress_that_cannot_read_the_group_says_so_and_warns_of_nothing(tmp_path: Path) -> None:
    """Kafka is away, rights are missing, or the answer is one that nobody expected: it goes on looking."""
    group = FakeGroup(0, IDLE)
    async with door(tmp_path, workers=monitor(group, 0.2)) as made:
        for error in (KafkaConnectionError(), GroupAuthorizationFailedError(), ZeroDivisionError()):
            await eventually(lambda: made.ingress.workers.stopped)
            group.error = error
            await eventually(lambda: not made.ingress.workers.stopped)
            health = await documented(made, "GET", "/healthz")
            assert health == f"ok\ndegraded: workers: not known ({type(error).__name__})\n"
            assert "Heliograph-Warning" not in (await made.ask(EVENT)).headers
            samples = Samples(await documented(made, "GET", "/metrics"))
            assert samples["heliograph_ingress_workers_unknown{}"] == 1
            assert "heliograph_ingress_workers_stopped{}" not in samples, "an alert on it must not rest on old news"
            group.error = None


async def test_metrics_tell_members_lag_stalled_and_held_partitions_by_topic(tmp_path: Path) -> None:
    group = FakeGroup(2, LAGGING, Offsets(3, 3, 7), IDLE)
    async with door(tmp_path, workers=monitor(group, 0.2)) as made:
        await eventually(lambda: made.ingress.workers.stopped)
        samples = Samples(await documented(made, "GET", "/metrics"))
    topic = "{topic=notify.requests}"
    told = {
        "workers_unknown{}": 0,
        "workers{}": 2,
        "workers_stopped{}": 1,
        f"consumer_lag_records{topic}": 4,
        f"stalled_partitions{topic}": 1,
        f"held_partitions{topic}": 1,
    }
    assert {name: samples[f"heliograph_ingress_{name}"] for name in told} == told
