"""Whoever asks is told when no worker makes progress: `doctor`, the ingress by header, health and metrics."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.request import Request, urlopen

import pytest
from confluent_kafka import Producer

from app.cli.queries.dead_letters import append, handled, read_letters
from app.cli.queries.worker_check import letter_findings
from app.config.settings import Settings
from app.dev.process import ChildProcess
from app.kafka.batch_watch import SET_ASIDE
from app.kafka.group_progress import GroupSnapshot
from app.kafka.group_reader import GroupReader
from app.records.dead_letters import FAULT, LostRecord, dead_letter
from app.records.seal import Sealer
from app.records.topics import Topics
from tests.support.bridged import Samples
from tests.support.engine_lab import until
from tests.support.keyring import DEFAULT_KEY, api_key, store_of
from tests.support.simulated import ACCOUNT, TOKEN
from tests.support.topics import TopicEnvironment

NONE, STOPPED = "no worker makes progress since 20", ": none is running"
SETTINGS = {
    "HELIOGRAPH_STALL_TIMEOUT_S": "3",
    "HELIOGRAPH_SESSION_TIMEOUT_S": "20",
    # Nobody is texted: what is folded ends as rejected.
    "HELIOGRAPH_MODE": "sandbox",
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "TWILIO_FROM_NUMBER": "+15005550006",
    "TWILIO_API_BASE_URL": "http://127.0.0.1:1",
}


class Site(TopicEnvironment):
    """An ingress and a worker of a test."""

    def __init__(self, kafka: str, path: Path) -> None:
        super().__init__(kafka, path)
        self.env |= SETTINGS | {
            "HELIOGRAPH_API_KEY_STORE": store_of(path / "api-keys.json", api_key(DEFAULT_KEY, "default")),
            "HELIOGRAPH_READ_MODEL_DIR": str(path / "read_model"),
            "HELIOGRAPH_READ_MODEL_PORT": "0",
        }
        env = {**self.env, "PATH": "/usr/bin:/bin"}
        self.ingress = ChildProcess(
            "ingress", ["ingress", "--port", "0", "--internal-port", "0"], env, path / "ingress.log"
        )
        self.worker = ChildProcess("worker", ["worker"], env, path / "worker.log")
        self.read_model = ChildProcess("read_model", ["read-model", "run"], env, path / "read_model.log")

    def post(self) -> tuple[str, str]:
        """Message id, and what the answer warns of."""
        headers = {"Authorization": f"Bearer {DEFAULT_KEY}", "Content-Type": "application/json"}
        body = json.dumps({"to": "+14155550123", "body": "Hi."}).encode()
        with urlopen(Request(f"{self.ingress.ready['ingress']}/v1/messages", body, headers)) as answer:
            assert answer.status == 202
            return json.load(answer)["message_ids"][0], answer.headers.get("Heliograph-Warning", "")

    def health(self, part: ChildProcess, page: str = "healthz") -> str:
        with urlopen(f"{part.ready['internal']}/{page}") as answer:
            assert answer.status == 200, "neither a dead worker nor a stalled one is mended by ending this process"
            return answer.read().decode()

    def metric(self, part: ChildProcess, name: str) -> float:
        """Summed over its labels."""
        samples = Samples(urlopen(f"{part.ready['internal']}/metrics").read().decode())
        return sum(value for sample, value in samples.items() if sample.startswith(f"{name}{{"))

    def doctor(self) -> tuple[int, str]:
        """Exit code, and what is wrong with the workers."""
        done = self.run("doctor", "--json", TWILIO_ACCOUNT_SID="", TWILIO_AUTH_TOKEN="")
        seen = {finding["what"]: finding["problem"] for finding in json.loads(done.stdout)["findings"]}
        assert done.stderr == "" and (seen["records set aside"], seen["frozen contacts"]) == ("", "")
        return done.returncode, seen["workers"]


@pytest.fixture
def site(kafka: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(kafka, tmp_path)
    for part in (made.read_model, made.ingress):
        part.start()
        part.wait()
    yield made
    if made.worker.process is not None:
        made.worker.signal(signal.SIGCONT)
    made.worker.stop()
    made.ingress.stop()
    made.read_model.stop()


def test_that_no_worker_makes_progress_is_told_within_the_stall_timeout_and_taken_back(site: Site) -> None:
    message, _ = site.post()
    until(lambda: STOPPED in site.post()[1])
    assert all(f"ok\ndegraded: {NONE}" in site.health(site.ingress, page) for page in ("healthz", "readyz"))
    assert site.metric(site.ingress, "heliograph_ingress_workers_stopped") == 1
    until(lambda: site.metric(site.ingress, "heliograph_ingress_consumer_lag_records") >= 1)
    code, problem = site.doctor()
    assert code == 1 and NONE in problem and STOPPED in problem and "start heliograph worker" in problem
    assert NONE in site.run("explain", message).stderr
    sent = site.run("send", "--to", "+14155550124", "--body", "Hi.", "--wait", "--timeout", "2")
    assert "no worker has taken it yet: no worker" in " ".join(sent.stdout.replace("│", " ").split())

    site.worker.start()
    site.worker.wait()
    until(lambda: site.post()[1] == "" and site.health(site.ingress) == site.health(site.worker) == "ok")
    until(lambda: site.metric(site.ingress, "heliograph_ingress_consumer_lag_records") == 0)
    assert site.doctor() == (0, "")
    assert site.metric(site.worker, "heliograph_worker_consumer_lag_records") == 0

    site.worker.signal(signal.SIGSTOP)
    site.post()
    warning = until(lambda: site.post()[1])
    assert NONE in warning and STOPPED not in warning, "it is a member of the group still"
    code, problem = site.doctor()
    assert code == 1 and NONE in problem and "1 member" in problem
    site.worker.signal(signal.SIGCONT)
    until(lambda: site.post()[1] == "" and site.health(site.ingress) == "ok")


def test_what_transactions_leave_on_the_log_is_told_apart_from_records_that_wait(kafka: str, tmp_path: Path) -> None:
    place = TopicEnvironment(kafka, tmp_path)
    topic, group = f"{place.prefix}notify.requests", f"{place.prefix}heliograph"
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": place.prefix})
    producer.init_transactions(20)

    def send(count: int) -> None:
        producer.begin_transaction()
        for _ in range(count):
            producer.produce(topic, b"{}", partition=0)
        assert producer.flush(20) == 0

    async def read() -> tuple[GroupSnapshot, bool]:
        """The group, and whether partition 0 holds a record that a worker gets."""
        reader = GroupReader({"bootstrap_servers": kafka}, group, [topic], 10.0)
        try:
            seen = await reader.read()
            offsets = seen.offsets[topic, 0]
            return seen, await reader.holds_records((topic, 0), offsets.committed, offsets.stable_end)
        finally:
            await reader.close()

    def told() -> tuple[bool, int, bool]:
        seen, holds = asyncio.run(read())
        return seen.offsets[topic, 0].held_back, seen.offsets[topic, 0].lag, holds

    send(3)
    seen, holds = asyncio.run(read())
    offsets = seen.offsets[topic, 0]
    assert (seen.members, offsets.held_back, offsets.lag, offsets.end, holds) == (0, True, 0, 3, False)
    # The marker is on the partition a moment after the coordinator has ended the transaction.
    producer.abort_transaction(20)
    until(lambda: told() == (False, 4, False))
    send(1)
    producer.commit_transaction(20)
    until(lambda: told() == (False, 6, True))


def test_doctor_names_records_set_aside_and_contacts_that_are_frozen_until_they_are_retried(
    kafka: str, tmp_path: Path
) -> None:
    place, sealer = TopicEnvironment(kafka, tmp_path), Sealer({"k1": bytes.fromhex("22" * 32)})
    lost = [
        (f"{place.prefix}notify.requests", f"{SET_ASIDE}the process died here three times"),
        (f"{place.prefix}contacts", f"{SET_ASIDE}the process died here three times"),
        (f"{place.prefix}contacts", f"{FAULT}KeyError"),
        (f"{place.prefix}contacts", "is missing"),
    ]
    for number, (topic, rule) in enumerate(lost):
        value, _ = dead_letter(sealer, LostRecord(topic, f"0-{number}", b"k", b"{}", 0), "", rule)
        place.produce("notify.deadletters", "same partition", value)

    topics, client = Topics(place.prefix, place.prefix), {"bootstrap_servers": kafka}

    async def problems() -> dict[str, str]:
        return {what: problem async for what, problem in letter_findings(topics, client)}

    async def done_with(source: str, how: Literal["retried", "dropped"]) -> str:
        letters = {one.record.source: one for one in (await read_letters(topics.deadletters, client)).values()}
        letter = letters[source]
        await append(Settings.read(place.env), [(letter, handled(letter, how, "ada"))])
        return letter.letter_id

    told = asyncio.run(problems())
    assert told["records set aside"].startswith("2 records, the last as dead letter ")
    assert told["frozen contacts"].startswith("2 inputs of frozen contacts, ")
    request, first, second, _ = (f"{topic}-0-{number}" for number, (topic, _) in enumerate(lost))
    asyncio.run(done_with(request, "dropped"))
    letter_id = asyncio.run(done_with(first, "dropped"))
    asyncio.run(done_with(second, "retried"))
    told = asyncio.run(problems())
    assert told["records set aside"] == "", "an operator is done with both"
    assert told["frozen contacts"].startswith(f"1 input of a frozen contact, the last as dead letter {letter_id}:")
