"""Record batches that no client library produces: header names whose bytes are not UTF-8."""

import struct
import time
from collections.abc import Sequence

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

Headers = Sequence[tuple[bytes, bytes | None]]
_BATCH_BYTES, _TIMEOUT_MS, _ALL = 1 << 20, 10_000, -1
# Where a batch has its checksum, and what it covers (Kafka protocol, "Record Batch").
_CRC_AT, _CRC_FROM = 17, 21


def encode_batch(value: bytes, headers: Headers) -> bytes:
    """A batch with one record without key. Header values must not hold letters.

    The builder takes names as text: it gets others as long, which are then overwritten, and the checksum with them.
    """
    names = [chr(ord("a") + n) * len(name) for n, (name, _) in enumerate(headers)]
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, _BATCH_BYTES)
    given = [(name, text) for name, (_, text) in zip(names, headers, strict=True)]
    builder.append(0, int(time.time() * 1000), None, value, given)
    batch = bytearray(builder.build())
    at = batch.rindex(value) + len(value)
    for name, (raw, _) in zip(names, headers, strict=True):
        at = batch.index(name.encode(), at)
        batch[at : at + len(raw)] = raw
        at += len(raw)
    struct.pack_into(">I", batch, _CRC_AT, calc_crc32c(bytes(batch[_CRC_FROM:])))
    return bytes(batch)


async def produce_batch(servers: str, topic: str, partition: int, batch: bytes) -> int:
    """The offset of its first record. Raises KafkaError. The broker must be the only one."""
    client = AIOKafkaClient(bootstrap_servers=servers)
    await client.bootstrap()
    try:
        request = ProduceRequest(None, _ALL, _TIMEOUT_MS, [(topic, [(partition, batch)])])
        answer = await client.send(client.get_random_node(), request)
    finally:
        await client.close()
    [(_, [(_, code, offset, *_)])] = answer.topics
    if code:
        raise for_code(code)
    return int(offset)
