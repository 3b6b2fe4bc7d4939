"""Poison on `notify.requests`, part one: headers, codecs, transactions and payloads that producers write.

Each kind mixes records that must be refused with legal ones, which must be texted, and notes what it produced.
"""

import asyncio
import sys
from collections.abc import Iterator

import orjson

from ops.chaos import raw_batches
from ops.chaos.ground import Ground
from ops.chaos.poison_producer import (
    REQUESTS,
    Headers,
    Poison,
    PoisonError,
    PoisonProducer,
    Requests,
    note_produced,
    produce_named,
)
from ops.chaos.promises import Promise

CODECS = ("gzip", "snappy", "lz4", "zstd")
# Records of one kind of header, codec or transaction.
SOME = 6
# The broker ends a transaction this long after it began, ms; the dev broker looks for such each second.
TRANSACTION_MS = 3_000
KAFKA_S = 30.0


class PoisonHeaders:
    """Records with null header values, header names that are not UTF-8, and many headers; refused and legal ones."""

    lasts_s = 0.0
    ANY: tuple[Headers, ...] = (
        [("n", None)],
        [("", b""), ("n", None), ("n", b"\xff")],
        [("ce_id", None), ("traceparent", None), ("heliograph-retry-of", None)],
        [("", b"")] * 1_000,
    )
    TOO_MANY: Headers = [("", b"")] * 9_999
    NAMED: tuple[raw_batches.Headers, ...] = ([(b"n\xff\xfe", b"1")], [(b"\xff", None), (b"n\xc0", b"\xff")])

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        requests, kind = Requests(ground, "headers"), "poison_headers"
        legal = [requests.record(headers=headers) for headers in self.ANY]
        refused = [Poison(b"{", Promise.DEAD_LETTER, headers=headers) for headers in (*self.ANY, self.TOO_MANY)]
        await PoisonProducer(ground, kind).produce([*refused, *legal])
        for headers in self.NAMED:
            await produce_named(ground, kind, Poison(b"{", Promise.DEAD_LETTER), headers)
            await produce_named(ground, kind, requests.record(), headers)

    async def undo(self, ground: Ground) -> None:
        """It stays on the log."""


class PoisonCodecs:
    """Legal requests in batches that are compressed by each codec."""

    lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        requests = Requests(ground, "codecs")
        for codec in CODECS:
            producer = PoisonProducer(ground, "poison_codecs", **{"compression.type": codec})
            # The same key: records of one batch.
            await producer.produce(requests.record(record_key=codec.encode()) for _ in range(SOME))

    async def undo(self, ground: Ground) -> None:
        """It stays on the log."""


class PoisonTransactions:
    """Three transactions at once: one is committed, one aborted, and the producer of the third is killed."""

    lasts_s = 0.0

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self._requests, self._name = Requests(ground, "transactions"), ground.rng.randbytes(4).hex()
        await self._leave_open(ground)
        await asyncio.to_thread(self._interleave, ground)

    def _interleave(self, ground: Ground) -> None:
        committed, aborted = self._begun(ground, "committed"), self._begun(ground, "aborted")
        for _ in range(SOME):
            committed.put(self._requests.record())
            committed.flush()
            aborted.put(self._requests.record(promise=Promise.NEVER))
            aborted.flush()
        aborted.kafka.abort_transaction(KAFKA_S)
        committed.kafka.commit_transaction(KAFKA_S)
        committed.note()
        aborted.note()

    def _begun(self, ground: Ground, name: str) -> PoisonProducer:
        settings = {"transactional.id": f"{name}-{self._name}", "compression.type": "lz4"}
        producer = PoisonProducer(ground, "poison_transactions", **settings)
        producer.kafka.init_transactions(KAFKA_S)
        producer.kafka.begin_transaction()
        return producer

    async def _leave_open(self, ground: Ground) -> None:
        """A process of its own produces within a transaction and kills itself."""
        events = [self._requests.event() for _ in range(SOME)]
        servers = ground.stand.servers
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops.chaos.open_transaction", servers, REQUESTS, f"killed-{self._name}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate(orjson.dumps(events))
        places = orjson.loads(output or b"[]")
        if len(places) != len(events):
            raise PoisonError("the producer of the open transaction failed")
        for event, (partition, offset) in zip(events, places, strict=True):
            poison = self._requests.record(event, promise=Promise.NEVER)
            note_produced(ground.diary, "poison_transactions", poison, partition, offset)

    async def undo(self, ground: Ground) -> None:
        """The broker ends the open transaction."""


class PoisonPayloads:
    """What serializers, other encodings and mistakes make of a value."""

    lasts_s = 0.0
    DEEP, LONG, TOO_LONG = 100_000, 890_000, 950_000
    BAD_NUMBERS = 1_000

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        requests = Requests(ground, "payloads")
        settings = {"message.max.bytes": 2_000_000}
        producer = PoisonProducer(ground, "poison_payloads", **settings)
        await producer.produce([*self._legal(requests), *self._refused(), *self._odd(requests)])

    def _legal(self, requests: Requests) -> Iterator[Poison]:
        for prefix in (b"\xef\xbb\xbf", b"\x00\x00\x00\x00\x07"):  # a byte order mark, a schema registry's
            event = requests.event()
            yield requests.record(event, value=prefix + orjson.dumps(event))
        event = requests.event(body="half an emoji: @")
        value = orjson.dumps(event).replace(b"@", b"\\ud83d")
        yield requests.record(event, value=value, body="half an emoji: \ufffd")
        yield requests.record(requests.event(unknown="x" * self.LONG))
        yield requests.record(record_key=b"\xff\x00")
        yield requests.record(requests.event(metadata={"note": "\u202e\u0000"}))

    def _refused(self) -> Iterator[Poison]:
        values = (None, b"", b"\xff\xfe", b"null", b"[" * self.DEEP, b'{"type":"notify.requested.v1"}', b"\xef\xbb\xbf")
        for value in values:
            yield Poison(value, Promise.DEAD_LETTER)

    def _odd(self, requests: Requests) -> Iterator[Poison]:
        """Requests that name their recipients and break a rule."""
        bad = [f"+1{n:03d}" for n in range(self.BAD_NUMBERS)]
        event = requests.event(to=bad)
        yield requests.record(event, promise=Promise.REJECTED, recipients=len(bad))
        event = requests.event(body="")
        yield requests.record(event, promise=Promise.REJECTED)
        event = requests.event(nested="@")
        deep = b"[" * self.DEEP + b"]" * self.DEEP
        yield requests.record(event, value=orjson.dumps(event).replace(b'"@"', deep), promise=Promise.ANSWERED)
        event = requests.event(unknown="x" * self.TOO_LONG)
        yield requests.record(event, promise=Promise.DEAD_LETTER, key="")

    async def undo(self, ground: Ground) -> None:
        """It stays on the log."""
