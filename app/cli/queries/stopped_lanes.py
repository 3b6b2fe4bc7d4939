"""Lanes that are stopped, for Twilio refuses their set-up: from the changelog of table asks."""

from typing import Any

import msgspec

from app import clock
from app.kafka.partition_reader import PartitionReader
from app.records.lanes import StoppedLane
from app.records.topics import Topics

ROW = b"stopped."
_decode = msgspec.json.Decoder(StoppedLane).decode


async def stopped_lanes(topics: Topics, client: dict[str, Any]) -> list[StoppedLane]:
    """Those that are stopped now, the longest stopped first. Raises KafkaError or OSError."""
    topic, rows = topics.all["<app>-asks-changelog"].name, dict[bytes, StoppedLane]()
    async with PartitionReader(client) as logs:
        for number in await logs.partitions(topic):
            async for records in logs.read(topic, number, *await logs.span(topic, number)):
                for record in records:
                    if record.key and record.key.startswith(ROW):
                        _take(rows, record.key, record.value)
    return sorted(rows.values(), key=lambda row: row.since_ms)


def _take(rows: dict[bytes, StoppedLane], key: bytes, value: bytes | None) -> None:
    if value is None:
        rows.pop(key, None)
    else:
        rows[key] = _decode(value)


def why(row: StoppedLane) -> str:
    """Since when and by which code, and what to do."""
    code = f" ({row.code})" if row.code else ""
    ask = f"heliograph errors {row.code}" if row.code else "heliograph twilio check"
    return f"stopped since {clock.iso(row.since_ms)}, for Twilio refuses its set-up{code}; what waits may expire: {ask}"
