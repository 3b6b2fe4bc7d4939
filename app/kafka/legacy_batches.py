"""Message sets of formats v0 and v1, as clients and brokers before Kafka 0.11 wrote them.

Kafka 4 takes none any more; a log that is older may hold some. aiokafka reads them. They have no headers and no
transactions.
"""

from aiokafka.errors import KafkaError
from aiokafka.record.legacy_records import LegacyRecordBatch

from app.errors import HeliographError
from app.kafka.record_format import ParsedRecord


class LegacyFormatError(HeliographError):
    """These bytes are no message set."""


def legacy_records(frame: memoryview, magic: int) -> tuple[list[ParsedRecord], int]:
    """Records (v0 has no timestamps: 0) and the offset after them. Raises LegacyFormatError."""
    try:
        batch = LegacyRecordBatch(bytes(frame), magic)
        if not batch.validate_crc():
            raise LegacyFormatError("it has a wrong checksum")
        records = [ParsedRecord(one.offset, one.timestamp or 0, one.key, one.value, []) for one in batch]
    except (ValueError, IndexError, OSError, RuntimeError, KafkaError) as error:
        raise LegacyFormatError("it is damaged") from error
    return records, batch.next_offset
