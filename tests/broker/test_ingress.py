"""The door as a process in front of a real Kafka that dies, hangs and comes back."""

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from app.dev.broker import DevBroker, free_port
from app.dev.dev_cluster import apply_topics
from app.dev.process import ChildProcess, ProcessError
from app.ingress.durable.producer import ProducerConnection
from app.ingress.durable.record import LogRecord
from app.provider.webhooks import signature
from tests.support.engine_lab import until
from tests.support.keyring import DEFAULT_KEY, api_key, store_of

PUBLIC, ACCOUNT, TOKEN = "https://hooks.example.com/twilio", "AC" + "a" * 32, "token-of-tests"
MESSAGE = "0123456789abcdef0123-{:020x}"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevBroker]:
    """One of our own, to be killed."""
    made = DevBroker(free_port(), tmp_path_factory.mktemp("own-kafka"))
    made.start()
    yield made
    made.stop()


class Door:
    """`heliograph ingress` with topics of its own. `seen` are the message ids on its contact log, in order."""

    def __init__(self, servers: str, path: Path) -> None:
        self.prefix, self.path = f"d{uuid.uuid4().hex[:8]}.", path
        self.env = {
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "HELIOGRAPH_TOPIC_PREFIX": self.prefix,
            "HELIOGRAPH_SPOOL_DIR": str(path / "spool"),
            "HELIOGRAPH_PSEUDONYM_KEY": "11" * 32,
            "HELIOGRAPH_SEAL_KEYS": "k1:" + "22" * 32,
            "HELIOGRAPH_API_KEY_STORE": store_of(path / "api-keys.json", api_key(DEFAULT_KEY, "default")),
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_STATUS_CALLBACK_URL": f"{PUBLIC}/status",
            "TWILIO_INBOUND_WEBHOOK_PUBLIC_URL": f"{PUBLIC}/inbound",
        }
        self.parts: list[ChildProcess] = []
        self.http = httpx.Client(timeout=20)

    def start(self, **env: str) -> ChildProcess:
        arguments = ["ingress", "--port", "0", "--internal-port", "0"]
        part = ChildProcess("ingress", arguments, {**self.env, **env}, self.path / "ingress.log")
        part.start()
        self.parts.append(part)
        part.wait()
        return part

    def close(self) -> None:
        for part in self.parts:
            part.stop()
        self.http.close()

    def report(self, part: ChildProcess, n: int) -> int:
        path = f"/status?m={MESSAGE.format(n)}&a=1"
        form = {"MessageSid": f"SM{n:032x}", "MessageStatus": "sent", "AccountSid": ACCOUNT}
        headers = {
            "X-Twilio-Signature": signature(TOKEN, PUBLIC + path, list(form.items())),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        url = f"{part.ready['ingress']}/twilio{path}"
        return self.http.post(url, content=urlencode(form), headers=headers).status_code

    def ask(self, part: ChildProcess, key: str) -> int:
        headers = {"Authorization": f"Bearer {DEFAULT_KEY}", "Idempotency-Key": key}
        body = {"to": "+14155550123", "body": "my text"}
        return self.http.post(f"{part.ready['ingress']}/v1/messages", json=body, headers=headers).status_code

    def metric(self, part: ChildProcess, name: str) -> float:
        lines = self.http.get(f"{part.ready['internal']}/metrics").text.splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(f"heliograph_ingress_{name} ")))

    def read(self, topic: str) -> list[tuple[int, dict[str, Any]]]:
        """Partition and value of every record now."""
        consumer = Consumer({"bootstrap.servers": self.env["KAFKA_BOOTSTRAP_SERVERS"], "group.id": "door"})
        name, rows, ends = self.prefix + topic, [], {}
        for number in range(8):
            low, high = until(lambda n=number: ends_of(consumer, name, n), 90)
            if high > low:
                ends[number] = high - low
        consumer.assign([TopicPartition(name, number, 0) for number in ends])
        while len(rows) < sum(ends.values()):
            for message in consumer.consume(1000, 1.0):
                assert message.error() is None
                rows.append((message.partition(), json.loads(message.value() or b"{}")))
        consumer.close()
        return rows

    def seen(self) -> list[int]:
        return [int(value["message_id"].partition("-")[2], 16) for _, value in self.read("contacts")]


def ends_of(consumer: Consumer, topic: str, number: int) -> tuple[int, int] | None:
    """None while the partition has no leader, as after a pause of the broker."""
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=5)
    except KafkaException:
        return None


@pytest.fixture
def door(broker: DevBroker, tmp_path: Path) -> Iterator[Door]:
    broker.start()
    made = Door(broker.address, tmp_path)
    asyncio.run(apply_topics(made.env))
    yield made
    made.close()
    broker.start()


def kill(broker: DevBroker) -> None:
    """As kill -9 does it."""
    pid = broker.running()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    broker.stop()


def spooled(door: Door) -> list[Path]:
    return list((door.path / "spool").iterdir())


def test_a_contacts_records_stand_where_every_kafka_client_would_put_its_key(door: Door) -> None:
    part = door.start()
    assert door.report(part, 1) == 204
    [(partition, value)] = door.read("contacts")
    producer = Producer({"bootstrap.servers": door.env["KAFKA_BOOTSTRAP_SERVERS"], "partitioner": "murmur2_random"})
    places: list[int] = []
    contact = value["message_id"].partition("-")[0]
    producer.produce(
        door.prefix + "lanes", key=contact, value=b"{}", on_delivery=lambda _, m: places.append(m.partition())
    )
    assert producer.flush(10) == 0 and places == [partition]


async def test_a_line_that_broke_takes_nothing_more(door: Door) -> None:
    """Or what comes later would stand before what has to be sent again."""
    line = await ProducerConnection.open(bootstrap_servers=door.env["KAFKA_BOOTSTRAP_SERVERS"])
    topic = door.prefix + "contacts"
    await line.enter(LogRecord(topic, b"key", b'{"n": 1}'))
    with pytest.raises(MessageSizeTooLargeError):
        await line.enter(LogRecord(topic, b"key", b"x" * (4 << 20)))
    with pytest.raises(MessageSizeTooLargeError):
        await line.enter(LogRecord(topic, b"key", b'{"n": 2}'))
    await line.drop()
    assert [value for _, value in await asyncio.to_thread(door.read, "contacts")] == [{"n": 1}]


def test_p4_reports_taken_while_kafka_was_dead_are_on_the_log_in_order_once_it_is_back(
    door: Door, broker: DevBroker
) -> None:
    part = door.start()
    assert [door.report(part, n) for n in range(5)] == [204] * 5
    kill(broker)
    assert [door.report(part, n) for n in range(5, 30)] == [204] * 25
    assert door.metric(part, "kafka_away") == 1 and door.metric(part, "spool_bytes") > 0
    broker.start()
    until(lambda: door.metric(part, "kafka_away") == 0)
    assert [door.report(part, n) for n in range(30, 35)] == [204] * 5
    assert list(dict.fromkeys(door.seen())) == list(range(35))
    assert spooled(door) == []


def test_p4_a_door_killed_while_kafka_is_dead_loses_nothing_it_answered(door: Door, broker: DevBroker) -> None:
    part = door.start()
    broker.stop()
    assert [door.report(part, n) for n in range(10)] == [204] * 10
    assert door.ask(part, "k1") == 202
    part.kill()
    assert all(b"my text" not in file.read_bytes() for file in spooled(door)) and spooled(door)
    heir = door.start()
    assert [door.report(heir, n) for n in range(10, 15)] == [204] * 5
    broker.start()
    until(lambda: door.metric(heir, "kafka_away") == 0)
    assert list(dict.fromkeys(door.seen())) == list(range(15))
    assert {value["idempotency_key"] for _, value in door.read("notify.requests.default")} == {"k1"}
    assert spooled(door) == []


def test_p4_a_kafka_that_hangs_longer_than_a_request_lasts_is_bridged_too(door: Door, broker: DevBroker) -> None:
    """The producer's own requests time out meanwhile; it is replaced, for its sequence is broken."""
    part, pid = door.start(), broker.running()
    assert pid is not None and door.report(part, 0) == 204
    os.kill(pid, signal.SIGSTOP)
    end, n = time.monotonic() + 12, 1
    while time.monotonic() < end:
        assert door.report(part, n) == 204
        n += 1
        time.sleep(0.1)
    os.kill(pid, signal.SIGCONT)
    assert [door.report(part, n + more) for more in range(5)] == [204] * 5
    until(lambda: len(set(door.seen())) == n + 5, 60)
    assert list(dict.fromkeys(door.seen())) == list(range(n + 5))
    until(lambda: door.metric(part, "spool_bytes") == 0)


def test_sigterm_answers_what_is_open_and_leaves_no_spool_behind(door: Door) -> None:
    part = door.start()
    assert door.report(part, 1) == 204
    part.stop()
    assert part.dead() == 0 and spooled(door) == []


def test_a_door_with_another_pseudonym_key_than_the_logs_refuses_to_start(door: Door) -> None:
    first = door.start()
    assert door.report(first, 1) == 204
    first.stop()
    with pytest.raises(
        ProcessError, match=r"exit code 78: error: HELIOGRAPH_PSEUDONYM_KEY: topic .*contacts was written"
    ):
        door.start(HELIOGRAPH_PSEUDONYM_KEY="33" * 32)


def test_a_door_without_its_topics_refuses_to_start_and_says_what_to_run(door: Door) -> None:
    with pytest.raises(ProcessError, match=r"exit code 78: error: topics are missing: .*run: heliograph topics apply"):
        door.start(HELIOGRAPH_TOPIC_PREFIX="nobody.")


def test_a_door_opened_without_kafka_ends_and_keeps_its_spool_if_that_kafka_is_not_its_own(
    door: Door, broker: DevBroker
) -> None:
    first = door.start()
    assert door.report(first, 1) == 204
    first.stop()
    broker.stop()
    wrong = door.start(HELIOGRAPH_PSEUDONYM_KEY="33" * 32)
    assert door.report(wrong, 2) == 204
    broker.start()
    assert until(wrong.dead) == 78
    assert door.seen() == [1] and spooled(door)
