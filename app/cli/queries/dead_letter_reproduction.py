"""The record of a dead letter, produced again as it was."""

from typing import Any, NamedTuple

from app.records.dead_letter_content import OpenedContent
from app.records.dead_letters import again
from app.records.envelope import Headers


class DeadLetterReproduction(NamedTuple):
    """A record to produce. `left_out`: names, escaped, of headers that the client cannot write."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    left_out: list[str]


def reproduction(topic: str, partition: int, opened: OpenedContent, source: str) -> DeadLetterReproduction:
    """The record a letter is about, with the header that says what it is a retry of. `source`: the letter's.

    aiokafka writes names of headers as UTF-8 and takes nothing but text, so those that were other bytes are left out.
    """
    headers = again(opened, source)
    kept = [(name, value) for name, value in headers if _is_text(name)]
    left_out = [escaped(name) for name, _ in headers if not _is_text(name)]
    return DeadLetterReproduction(topic, partition, opened.key, opened.value, kept, left_out)


async def produce(producer: Any, record: DeadLetterReproduction) -> None:
    """Returns once it is acknowledged. Raises KafkaError.

    As a batch of its own: `send` refuses a record with neither key nor value, which Kafka does not.
    """
    batch = producer.create_batch()
    batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers)
    batch.close()
    await (await producer.send_batch(batch, record.topic, partition=record.partition))


def escaped(name: str) -> str:
    """A header's name as it may be shown: bytes that are not UTF-8 as \\xff."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_text(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)
