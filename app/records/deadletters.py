"""Family `deadletters`: what could not be read or was refused, kept with its reason, its payload sealed."""

import hashlib
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from app import clock
from app.domain import fields as f
from app.records.envelope import Headers, headers
from app.records.seal import Sealer

SUBJECT = "deadletter"
# A producer's key may hold anything.
KeyHash = Annotated[
    str,
    Meta(
        description="First 16 hex digits of the SHA-256 of the record's key.",
        extra_json_schema={"pattern": "^[0-9a-f]{16}$"},
    ),
]


class NotifyDeadletter(msgspec.Struct, frozen=True, kw_only=True, tag="notify.deadletter.v1", tag_field="type"):
    """A record that could not be read or was refused: `field` and `rule` say what was wrong with it."""

    id: f.Id
    at: f.Iso
    source: Annotated[str, Meta(description="topic-partition-offset of the record; ingress-id for a webhook.")]
    field: f.FaultyField
    rule: f.Rule
    key_hash: KeyHash
    payload: f.SealedPayload
    bytes: Annotated[int, Meta(description="Length of the value before it was sealed.")]


class Placed(Protocol):
    """A record with its place, as Kafka has it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def dead_letter(
    sealer: Sealer, topic: str, place: str, key: bytes | None, value: bytes | None, fault: tuple[str, str], at_ms: int
) -> tuple[bytes, Headers]:
    """Value and headers of the dead letter of a record at `place` (partition-offset, or an id of the door's)."""
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
    return msgspec.json.encode(letter), headers("notify.deadletter.v1", letter.id, letter.at)
