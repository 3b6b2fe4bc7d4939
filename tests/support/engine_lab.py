"""The lab: topics of a test, toy workers as processes, and an independent client (librdkafka) that looks from outside."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import (
    OFFSET_END,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

ROOT = Path(__file__).parents[2]
MOVING = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE)
Row = tuple[int, int, bytes | None, bytes | None]


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for a condition with a deadline; returns what it returned, or fails."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


class Toy:
    """One toy worker process. `die_at`: the point at which it is killed (see `app.streams.engine.failpoints`)."""

    def __init__(self, lab: "EngineLab", name: str, die_at: str = "", **given: Any) -> None:
        self._output = (lab.path / f"{name}.out").open("a")
        self.output = lab.path / f"{name}.out"
        toy = {
            "prefix": lab.prefix,
            "servers": lab.servers,
            "name": name,
            "log": str(lab.side),
            "data": str(lab.path / name),
            "partitions": lab.partitions,
            **given,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.toy_worker"],
            env={**os.environ, "TOY": json.dumps(toy), "HELIOGRAPH_DIE_AT": die_at},
            cwd=ROOT,
            stdout=self._output,
            stderr=self._output,
        )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)

    def ended(self) -> bool:
        return self.process.poll() is not None


class EngineLab:
    """Fresh topics under a prefix of their own."""

    def __init__(self, servers: str, path: Path, partitions: int = 4, **changelog: str) -> None:
        self.servers, self.path, self.partitions = servers, path, partitions
        self.prefix, self.side = f"lab-{uuid.uuid4().hex[:8]}.", path / "side.log"
        self.admin = AdminClient({"bootstrap.servers": servers})
        self.create("in")
        self.create("out")
        self.create("dead")
        self.create("app-state-changelog", **{"cleanup.policy": "compact", **changelog})
        self.create("app-positions", **{"cleanup.policy": "compact"})
        self.toys: list[Toy] = []

    def create(self, name: str, **config: str) -> None:
        wanted = [NewTopic(self.prefix + name, self.partitions, 1, config=config)]
        for future in self.admin.create_topics(wanted).values():
            future.result()

    def configure(self, name: str, setting: str, value: str) -> None:
        """Set a topic's own setting."""
        entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self.prefix + name, incremental_configs=[entry])
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result()
        # The controller answers before the broker has it.
        until(lambda: self._configured(name)[setting].value == value)

    def _configured(self, name: str) -> dict[str, Any]:
        (future,) = self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, self.prefix + name)]).values()
        return future.result()

    def delete(self, name: str) -> None:
        for future in self.admin.delete_topics([self.prefix + name]).values():
            future.result()

    def truncate(self, name: str) -> None:
        """Delete the records that stand there now, as retention does."""
        ends = [TopicPartition(self.prefix + name, number, OFFSET_END) for number in range(self.partitions)]
        for future in self.admin.delete_records(ends).values():
            future.result()

    def _left(self) -> str:
        """The group, once it has no members."""
        group = self.prefix + "app"
        until(lambda: not self.admin.describe_consumer_groups([group])[group].result().members)
        return group

    def forget_commits(self) -> None:
        """As the broker does when a group had no members for a week."""
        for future in self.admin.delete_consumer_groups([self._left()]).values():
            future.result()

    def recreate(self, name: str, **config: str) -> None:
        """Delete a topic and create another of its name."""
        self.delete(name)
        until(lambda: self.prefix + name not in self.admin.list_topics(timeout=5).topics)
        self.create(name, **config)

    def commit(self, partition: int, offset: int) -> None:
        """In the group's name, once it has no members."""
        place = ConsumerGroupTopicPartitions(self._left(), [TopicPartition(self.prefix + "in", partition, offset)])
        for future in self.admin.alter_consumer_group_offsets([place]).values():
            future.result()

    def toy(self, name: str = "a", **given: Any) -> Toy:
        toy = Toy(self, name, **given)
        self.toys.append(toy)
        return toy

    def close(self) -> None:
        for toy in self.toys:
            if not toy.ended():
                toy.signal(signal.SIGCONT)
                toy.kill()

    def produce(self, count: int, start: int = 0, keys: int = 50, values: list[bytes] | None = None) -> None:
        producer = Producer({"bootstrap.servers": self.servers, "partitioner": "murmur2_random", "linger.ms": 5})
        for n in range(start, start + count):
            value = values[n - start] if values else b"%d" % n
            producer.produce(self.prefix + "in", key=b"k%d" % (n % keys), value=value)
            producer.poll(0)
        assert producer.flush(30) == 0

    def produce_to(self, keys: list[bytes], value: bytes = b"") -> None:
        """One input for each of these keys."""
        producer = Producer({"bootstrap.servers": self.servers, "partitioner": "murmur2_random"})
        for n, key in enumerate(keys):
            producer.produce(self.prefix + "in", key=key, value=value or b"%d" % (10_000 + n))
        assert producer.flush(30) == 0

    def write_row(self, partition: int, key: bytes, row: bytes) -> None:
        """On the changelog, as a former owner's request that the network held back."""
        producer = Producer({"bootstrap.servers": self.servers})
        producer.produce(self.prefix + "app-state-changelog", key=key, value=row, partition=partition)
        assert producer.flush(30) == 0

    def read(self, name: str) -> list[Row]:
        """Every record of a topic now: partition, offset, key, value."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "lab", "enable.auto.commit": False})
        ends = {}
        for partition in range(self.partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(self.prefix + name, partition), timeout=10)
            if high > low:
                ends[partition] = high
        consumer.assign([TopicPartition(self.prefix + name, p, 0) for p in ends])
        rows: list[Row] = []
        done = dict.fromkeys(ends, 0)
        while any(done[p] < high for p, high in ends.items()):
            for message in consumer.consume(5000, 1.0):
                assert message.error() is None
                rows.append((message.partition(), message.offset(), message.key(), message.value()))
                done[message.partition()] = message.offset() + 1
        consumer.close()
        return rows

    def ends(self, name: str) -> dict[int, int]:
        """Where each partition that holds anything ends."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "lab"})
        places = [TopicPartition(self.prefix + name, number) for number in range(self.partitions)]
        ends = {place.partition: consumer.get_watermark_offsets(place, timeout=10)[1] for place in places}
        consumer.close()
        return {number: end for number, end in ends.items() if end}

    def cut(self, name: str, firsts: dict[int, int]) -> None:
        """Delete what lies before these offsets, as retention does."""
        for future in self.admin.delete_records(self._places(name, firsts)).values():
            future.result()

    def _places(self, name: str, offsets: dict[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self.prefix + name, number, offset) for number, offset in offsets.items()]

    def committed(self) -> int:
        """Inputs that the group committed; asked again while a new broker still makes itself the group's coordinator."""
        found: list[int] = []
        until(lambda: found or self._ask_committed(found))
        return found[0]

    def _ask_committed(self, found: list[int]) -> list[int]:
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": self.prefix + "app"})
        places = [TopicPartition(self.prefix + "in", p) for p in range(self.partitions)]
        try:
            found.append(sum(max(0, p.offset) for p in consumer.committed(places, timeout=10)))
        except KafkaException as error:
            if error.args[0].code() not in MOVING:
                raise
        finally:
            consumer.close()
        return found

    def outputs(self) -> set[bytes]:
        return {(value or b"").split(b"|")[0] for *_, value in self.read("out")}

    def state(self) -> dict[bytes, bytes]:
        """The changelog folded: the last row of each key."""
        rows: dict[bytes, bytes] = {}
        for _, _, key, value in sorted(self.read("app-state-changelog"), key=lambda row: (row[0], row[1])):
            rows[key or b""] = value or b""
        return {key: row for key, row in rows.items() if row}

    def notes(self, word: str, name: str = "") -> list[list[str]]:
        """Lines of the side log; `word` empty: all."""
        lines = self.side.read_text().splitlines() if self.side.exists() else []
        split = [line.split() for line in lines]
        return [line for line in split if word in ("", line[1]) and (not name or line[0] == name)]
