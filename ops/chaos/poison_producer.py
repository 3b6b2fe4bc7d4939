"""Produces poison to `notify.requests`, and notes in the diary what was acknowledged and what is promised of it."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import orjson
from confluent_kafka import KafkaError, Message, Producer

from app.dev.demo_data import number
from ops.chaos import raw_batches
from ops.chaos.asking import note_asking
from ops.chaos.diary import Diary
from ops.chaos.ground import Ground
from ops.chaos.promises import Promise
from ops.chaos.stand import PARTITIONS, PREFIX

REQUESTS = f"{PREFIX}notify.requests"
ACKNOWLEDGED_S = 30.0
# Far from the people that the load generator writes to, so that no STOP of theirs keeps a text from leaving.
FIRST_PERSON = 6_000

Headers = Sequence[tuple[str, bytes | None]]


class PoisonError(Exception):
    """The harness itself could not produce what a fault needs."""


class Poison(NamedTuple):
    """A record and what is promised of it.

    Args:
        value: of the record.
        promise: see `Promise`.
        key: the idempotency key of the request, "" if the record has none; for a cancel the message id.
        recipients: how many contacts the request names.
        headers: their values may be null.
        record_key: the Kafka key.
        partition: -1: by the Kafka key.
        behind: keys of requests produced before this one to the same partition that must not delay it.
        expires_s: when the request expires, in seconds after it was produced; its outcome may come as late as that.
    """

    value: bytes | None
    promise: Promise
    key: str = ""
    recipients: int = 1
    headers: Headers = ()
    record_key: bytes | None = None
    partition: int = -1
    behind: Sequence[str] = ()
    expires_s: float = 0.0


class PoisonProducer:
    """A Kafka producer for one kind of poison; `settings` are librdkafka's. Raises PoisonError."""

    def __init__(self, ground: Ground, kind: str, **settings: Any) -> None:
        servers = ground.stand.servers
        self._diary, self._kind, self._fault = ground.diary, kind, ""
        self.kafka = Producer(
            {"bootstrap.servers": servers, "partitioner": "murmur2_random", "linger.ms": 20} | settings
        )
        self.acknowledged: list[tuple[Poison, int, int]] = []

    def put(self, poison: Poison) -> None:
        """Produce one record; `flush` waits for it."""
        given: dict[str, Any] = {"partition": poison.partition} if poison.partition >= 0 else {}
        self.kafka.produce(
            REQUESTS,
            poison.value,
            key=poison.record_key,
            headers=list(poison.headers),
            on_delivery=partial(self._delivered, poison),
            **given,
        )

    def _delivered(self, poison: Poison, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged.append((poison, message.partition() or 0, message.offset() or 0))
        else:
            self._fault = str(error)

    def flush(self) -> None:
        """Wait until every record is acknowledged. Blocks. Raises PoisonError."""
        left = self.kafka.flush(ACKNOWLEDGED_S)
        if left or self._fault:
            raise PoisonError(f"{self._kind}: {left} records were not acknowledged {self._fault}")

    def note(self) -> None:
        """Write what was acknowledged to the diary."""
        for poison, partition, offset in self.acknowledged:
            note_produced(self._diary, self._kind, poison, partition, offset)
        self.acknowledged.clear()

    async def produce(self, poisons: Iterable[Poison]) -> None:
        """Produce records, wait until they are acknowledged, and note them. Raises PoisonError."""
        for poison in poisons:
            self.put(poison)
            self.kafka.poll(0)
        await asyncio.to_thread(self.flush)
        self.note()


async def produce_named(ground: Ground, kind: str, poison: Poison, headers: raw_batches.Headers) -> None:
    """Produce one record with header names of any bytes, and note it. Raises KafkaError."""
    servers, partition = ground.stand.servers, ground.rng.randrange(PARTITIONS)
    batch = raw_batches.encode_batch(poison.value or b"", headers)
    offset = await raw_batches.produce_batch(servers, REQUESTS, partition, batch)
    note_produced(ground.diary, kind, poison, partition, offset)


def note_produced(diary: Diary, kind: str, poison: Poison, partition: int, offset: int) -> None:
    """Write an acknowledged record to the diary."""
    what = {"promise": poison.promise, "key": poison.key, "recipients": poison.recipients}
    more = {"behind": list(poison.behind), "expires_s": poison.expires_s}
    diary.note("produced", kind=kind, partition=partition, offset=offset, **what, **more)


class Requests:
    """Makes requests that no other fault of the run makes: own keys, own people.

    `expires_s`: from now; `lane`: a lane of the tenants file.
    """

    def __init__(self, ground: Ground, kind: str, expires_s: float | None = None, lane: str = "main") -> None:
        self._ground, self._lane, self._count = ground, lane, 0
        self._keys = f"{kind}-{ground.rng.randbytes(4).hex()}"
        self._expires_s = ground.deadlines.expires if expires_s is None else expires_s

    def event(self, **more: Any) -> dict[str, Any]:
        """The next request, to a person of its own unless `more` says to whom."""
        self._count += 1
        expires = datetime.fromtimestamp(time.time() + self._expires_s, UTC)
        event = {
            "type": "notify.requested.v1",
            "body": f"Poison {self._count}.",
            "idempotency_key": f"{self._keys}-{self._count}",
            "sender": self._lane,
            "expires_at": expires.isoformat(),
        }
        return {**event, "to": more.get("to") or self.people(1)[0], **more}

    def people(self, count: int) -> list[str]:
        """Numbers of fiction that nobody else is given."""
        first = FIRST_PERSON + self._ground.poisoned_people
        self._ground.poisoned_people += count
        return [number(index) for index in range(first, first + count)]

    def record(self, event: dict[str, Any] | None = None, body: str | None = None, **poison: Any) -> Poison:
        """The record of a request, which must be texted unless `poison` says otherwise (see `Poison`).

        It is in the diary from here on; `body`: see `note_asking`.
        """
        event = event or self.event()
        note_asking(self._ground.diary, self._ground.stand.settings().pseudonym_key, event, body)
        given = {"value": orjson.dumps(event), "promise": Promise.TEXTED, "key": event["idempotency_key"]}
        return Poison(**{**given, "expires_s": self._expires_s, **poison})
