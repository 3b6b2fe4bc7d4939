"""The kinds of records with which tenant A disturbs tenant B in `ops/bench/isolation`.

A kind is a generator of record batches as they go over the wire. They are encoded before the run where they may repeat,
so that whoever sends them needs next to no processor time.
"""

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from app.dev.demo_data import number

TENANT = "a"
# `isolation_worker.py` raises in the fold of messages of this campaign.
RAISING = "raise in the fold"
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CRC_AT, CRC_FROM = 17, 21
# A's numbers; those of B begin at 0.
FIRST_NUMBER, NUMBERS = 40_000, 20_000
# 100 requests of about 16 kB fill a contact's row to its limit; what comes after is refused.
FILLING = 120
TO_ONE = {"to": number(FIRST_NUMBER + NUMBERS), "metadata": {f"k{n}": "x" * 490 for n in range(31)}}
Headers = list[tuple[str, bytes | None]]


class Kind(NamedTuple):
    """`per_s`: records a second. `batches`: one for each record, for ever. `before`: so many are sent first."""

    what: str
    per_s: float
    batches: Callable[[str], Iterator[bytes]]
    before: int = 0
    transactions: bool = False


def batch(value: bytes, codec: int = NONE, headers: Headers | None = None) -> bytes:
    """A batch of one record, as the broker stores it."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, len(value) + 10_000)
    builder.append(0, 0, None, value, headers or [])
    return bytes(builder.build())


def request(run: str, n: int, **fields: Any) -> bytes:
    """A request of tenant A, the n-th of a run."""
    given = {"type": "notify.requested.v1", "tenant": TENANT, "to": number(FIRST_NUMBER + n % NUMBERS)}
    return orjson.dumps({**given, "body": f"Poison {n}.", "idempotency_key": f"{run}-{n}", **fields})


def requests(codec: int = NONE, **fields: Any) -> Callable[[str], Iterator[bytes]]:
    """Requests, each another message to another number."""
    return lambda run: (batch(request(run, n, **fields), codec) for n in itertools.count())


def repeated(value: bytes, codec: int = NONE, headers: Headers | None = None) -> Callable[[str], Iterator[bytes]]:
    """One record again and again."""
    return lambda run: itertools.repeat(batch(value, codec, headers))


def refused(headers: Headers) -> Callable[[str], Iterator[bytes]]:
    """Requests that break a rule (no text), with these headers."""
    return lambda run: (batch(request(run, n, body=""), NONE, headers) for n in itertools.count())


def not_utf8(run: str) -> Iterator[bytes]:
    """Refused requests with a header whose name is not UTF-8, which no client library would encode."""
    for data in refused([("name", b"value")])(run):
        changed = bytearray(data.replace(b"name", b"n\xff\xfee"))
        struct.pack_into(">I", changed, CRC_AT, calc_crc32c(bytes(changed[CRC_FROM:])))
        yield bytes(changed)


def codecs(run: str) -> Iterator[bytes]:
    """Requests that break no rule, each codec in its turn."""
    for n, codec in enumerate(itertools.cycle((LZ4, ZSTD, SNAPPY))):
        yield batch(request(run, n), codec)


def canceled(run: str) -> Iterator[bytes]:
    """Cancels of messages that nobody asked for, of contacts that nobody knows."""
    for n in itertools.count():
        invented = f"{n:020x}-{zlib.crc32(run.encode()):020x}"
        yield batch(orjson.dumps({"type": "notify.canceled.v1", "tenant": TENANT, "message_id": invented}))


def campaigns(run: str) -> Iterator[bytes]:
    """Requests of 1,000 recipients."""
    for n in itertools.count():
        people = [number(FIRST_NUMBER + (n * 1000 + k) % NUMBERS) for k in range(1000)]
        yield batch(request(run, n, to=people, category="marketing"))


def cut_off(size: int) -> bytes:
    """A request of so many bytes that ends in the middle of its text."""
    return b'{"type":"notify.requested.v1","tenant":"a","to":"+12015550100","body":"'.ljust(size, b"x")


KINDS = {
    "null_headers": Kind("refused requests with a header without value", 20, refused([("name", None)])),
    "header_names": Kind("refused requests with a header name that is not UTF-8", 20, not_utf8),
    "invalid_json": Kind("invalid JSON, 200 bytes", 20, repeated(cut_off(200))),
    "large_invalid_json": Kind("invalid JSON, 890 kB", 20, repeated(cut_off(890_000))),
    "codecs": Kind("requests in lz4, zstd and snappy (legal: texts leave)", 20, codecs),
    "transactions": Kind("requests in transactions, half of them aborted", 20, requests(), transactions=True),
    "oversized_contact": Kind("requests to one number whose row is full", 20, requests(**TO_ONE), FILLING),
    "cancels": Kind("cancels of messages that do not exist", 20, canceled),
    "inflation": Kind("gzip that inflates to 3.5 MB", 20, repeated(bytes(3_500_000), GZIP)),
    "large_inflation": Kind("gzip that inflates to 100 MB", 1, repeated(bytes(100_000_000), GZIP)),
    "fold_fault": Kind("requests whose fold raises (planted): frozen contacts", 20, requests(campaign=RAISING)),
    "campaigns": Kind("campaigns of 1,000 recipients, one every 2 s", 0.5, campaigns),
}
