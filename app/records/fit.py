"""Whether a process may work on this Kafka: its topics are there, and the contact log is of its pseudonym key."""

from collections.abc import Iterable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from app.records.fingerprint import foreign_fingerprint


class Unfit(Exception):
    """This process must not work on this Kafka; the text says why and what to do."""


async def must_exist(client: dict[str, Any], names: Iterable[str]) -> None:
    """Raises Unfit naming the topics that are missing; KafkaConnectionError without a broker."""
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        there = set(await admin.list_topics())
    finally:
        await admin.close()
    if missing := [name for name in names if name not in there]:
        raise Unfit(f"topics are missing: {', '.join(missing)}; run: heliograph topics apply")


async def must_be_ours(client: dict[str, Any], contacts: str, fingerprint: str) -> None:
    """Raises Unfit when topic `contacts` was written under another key; KafkaConnectionError without a broker."""
    if found := await foreign_fingerprint(contacts, fingerprint, **client):
        raise Unfit(
            f"HELIOGRAPH_PSEUDONYM_KEY: topic {contacts} was written under another key ({found}, ours {fingerprint})"
        )
