"""Family `deadletters`: what could not be read or was refused, kept with its reason, its payload sealed."""

import hashlib
from typing import Protocol

import msgspec

from app import clock
from app.records.seal import Sealer

SUBJECT = "deadletter"


class NotifyDeadletter(msgspec.Struct, frozen=True, kw_only=True, tag="notify.deadletter.v1", tag_field="type"):
    """`field` and `rule` say what was wrong; `payload` is sealed (tenant "" and the source as associated data);
    `key_hash` is a SHA-256, for a producer's key may hold anything."""

    id: str
    at: str
    source: str
    field: str
    rule: str
    key_hash: str
    payload: str
    bytes: int


class Placed(Protocol):
    """A record with its place, as Kafka has it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def dead_letter(
    sealer: Sealer, topic: str, place: str, key: bytes | None, value: bytes | None, fault: tuple[str, str], at_ms: int
) -> bytes:
    """The encoded dead letter of a record at `place` (partition-offset, or an id of the door's)."""
    source = f"{topic}-{place}"
    letter = NotifyDeadletter(
        id=source,
        at=clock.iso(at_ms),
        source=source,
        field=fault[0],
        rule=fault[1],
        key_hash=hashlib.sha256(key or b"").hexdigest()[:16],
        payload=sealer.seal(value or b"", "", source),
        bytes=len(value or b""),
    )
    return msgspec.json.encode(letter)
