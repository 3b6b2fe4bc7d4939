"""The pseudonym key is for life: a process with another key than the contact log's refuses to start.

A few records of another key, written by a process that should not have run, make no other log of it: what most records
carry counts.
"""

from collections import Counter
from typing import Any

import msgspec

from app.kafka.partition_reader import PartitionReader
from app.records.codec import InvalidFieldError, decode


class _StampedRecord(msgspec.Struct):
    pk: str


_stamped = msgspec.json.Decoder(_StampedRecord)
# Records at the end of each partition.
LOOKED_AT = 50


async def foreign_fingerprint(topic: str, fingerprint: str, **client: Any) -> str | None:
    """The fingerprint that most of the last readable records of `contacts` carry, None if it is ours or there are none.

    `fingerprint`: ours, "" for none.
    """
    counts = Counter[str]()
    async with PartitionReader(client) as logs:
        for number in await logs.partitions(topic):
            counts += await _last(logs, topic, number)
    return foremost(counts, fingerprint)


def foremost(counts: Counter[str], fingerprint: str) -> str | None:
    """The fingerprint of most records if it is not ours."""
    most, count = max(counts.items(), key=lambda one: one[1], default=("", 0))
    return most if count > counts[fingerprint] else None


async def _last(logs: PartitionReader, topic: str, number: int) -> Counter[str]:
    """Fingerprints of the last records that can be read; a poison record is no reason not to start."""
    start, end = await logs.span(topic, number)
    counts = Counter[str]()
    async for records in logs.read(topic, number, max(start, end - LOOKED_AT), end):
        for record in records:
            try:
                counts[decode(_stamped, record.value).pk] += 1
            except InvalidFieldError:
                continue
    return counts
