"""Whether a process may work on this Kafka: its topics are there, and the contact log is of its pseudonym key."""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion

from app import clock
from app.domain.model.identity import is_older_form, key_fingerprint
from app.errors import HeliographError
from app.kafka.authorized_operations import topic_operations
from app.kafka.fingerprint import foreign_fingerprint
from app.kafka.rights import missing_rights, rights_of
from app.records.topics import Topics

# Topics made a moment ago are not known to every broker yet.
SPREAD_S, LOOK_S = 3.0, 0.1
_RIGHTS = "heliograph topics rights prints what each process and command needs"


class ClusterMismatchError(HeliographError):
    """This process must not work on this Kafka; each line of the text says why and what to do."""


async def must_be_allowed(client: dict[str, Any], topics: Topics, process: str) -> None:
    """Raises ClusterMismatchError with one line for each right that `process` lacks; KafkaConnectionError without a
    broker.

    Asked before anything else: a topic that we must not describe looks as if it were missing, and a client that lacks
    a right tries again for ever.
    """
    if missing := await missing_rights(client, rights_of(topics, process)):
        todo = f"heliograph topics rights {process} prints all that are needed"
        raise ClusterMismatchError("\n".join(f"no right to {right.words}: {todo}" for right in missing))


async def must_exist(client: dict[str, Any], names: Iterable[str]) -> None:
    """Raises ClusterMismatchError naming the topics that are missing; KafkaConnectionError without a broker."""
    wanted = list(names)
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        until = clock.boot_s() + SPREAD_S
        while missing := sorted(set(wanted) - set(await admin.list_topics())):
            if clock.boot_s() > until:
                break
            await asyncio.sleep(LOOK_S)
        if forbidden := await _forbidden(admin, missing):
            raise ClusterMismatchError("\n".join(f"no right to describe topic {name}: {_RIGHTS}" for name in forbidden))
    finally:
        await admin.close()
    if missing:
        raise ClusterMismatchError(f"topics are missing: {', '.join(missing)}; run: heliograph topics apply")


async def _forbidden(admin: AIOKafkaAdminClient, names: list[str]) -> list[str]:
    """Those that we must not even describe, whether or not they are there."""
    try:
        return [name for name, allowed in (await topic_operations(admin, names)).items() if not allowed]
    except (NotImplementedError, IncompatibleBrokerVersion):
        return []


async def must_be_ours(client: dict[str, Any], contacts: str, pseudonym_key: bytes) -> None:
    """Raises ClusterMismatchError when topic `contacts` was written under another key, or by an older build;
    KafkaConnectionError without a broker."""
    if problem := await contact_log_problem(client, contacts, pseudonym_key):
        raise ClusterMismatchError(problem)


async def contact_log_problem(client: dict[str, Any], contacts: str, pseudonym_key: bytes) -> str:
    """Why topic `contacts` is not of this key and this build, or ""."""
    found = await foreign_fingerprint(contacts, key_fingerprint(pseudonym_key), **client)
    return foreign_problem(contacts, pseudonym_key, found) if found else ""


def foreign_problem(contacts: str, pseudonym_key: bytes, found: str) -> str:
    """What is wrong with a contact log whose fingerprint `found` is not ours, and what to do."""
    if is_older_form(pseudonym_key, found):
        return (
            f"topic {contacts} was written by an older build, whose records and rows cannot be read: "
            "begin with new topics (HELIOGRAPH_TOPIC_PREFIX) and empty data directories"
        )
    ours = key_fingerprint(pseudonym_key)
    return f"HELIOGRAPH_PSEUDONYM_KEY: topic {contacts} was written under another key ({found}, ours {ours})"
