"""Family `deadletters`: what could not be read or was refused, kept with its reason, its payload sealed.

What became of a letter is appended to the same topic, under the same key: a topic takes nothing back.
"""

import base64
import hashlib
import re
from typing import Literal, NamedTuple

import msgspec

from app import clock
from app.records.seal import Sealer

# A record that is produced again says what it was: with it a request without a key keeps the identity it had.
RETRY_OF = "heliograph-retry-of"
_SOURCE = re.compile(r"(?P<topic>[\w.-]{1,249})-(?P<partition>\d{1,9})-(?P<offset>\d{1,18})\Z", re.ASCII)
Headers = list[tuple[str, bytes]]


class NotifyDeadletter(msgspec.Struct, frozen=True, kw_only=True, tag="notify.deadletter.v1", tag_field="type"):
    """`field` and `rule` say what was wrong; `source` is topic-partition-offset of the record, or an id of the door's.

    `payload` is the sealed value, `envelope` the sealed key and headers (see `Envelope`; empty in letters of an earlier
    build), tenant "" and the source as associated data; `key_hash`: a SHA-256, for a producer's key may hold anything.
    """

    id: str
    at: str
    source: str
    field: str
    rule: str
    key_hash: str
    payload: str
    bytes: int
    envelope: str = ""


class NotifyDeadletterHandled(
    msgspec.Struct, frozen=True, kw_only=True, tag="notify.deadletter_handled.v1", tag_field="type"
):
    """An operator is done with a letter: it was `retried` or `dropped`. `letter`: partition-offset of the letter."""

    id: str
    at: str
    letter: str
    source: str
    how: Literal["retried", "dropped"]
    by: str


class NotifyDeadletterOpened(
    msgspec.Struct, frozen=True, kw_only=True, tag="notify.deadletter_opened.v1", tag_field="type"
):
    """Somebody was shown what a letter holds. `letter`: partition-offset of the letter."""

    id: str
    at: str
    letter: str
    source: str
    by: str


DeadletterRecord = NotifyDeadletter | NotifyDeadletterHandled | NotifyDeadletterOpened


class Envelope(msgspec.Struct, frozen=True):
    """What a record had around its value: key and header values in base64; `key` None if it had none."""

    key: str | None
    headers: list[tuple[str, str]] = []


class Lost(NamedTuple):
    """The record a letter is about. `place`: partition-offset, or an id of the door's; `at_ms`: its log time."""

    topic: str
    place: str
    key: bytes | None
    value: bytes | None
    at_ms: int
    headers: Headers = []


class Opened(NamedTuple):
    """A letter's content: the record as it was."""

    key: bytes | None
    value: bytes
    headers: Headers


def dead_letter(sealer: Sealer, lost: Lost, field: str, rule: str) -> bytes:
    """The encoded dead letter of a record."""
    source = f"{lost.topic}-{lost.place}"
    key = None if lost.key is None else base64.b64encode(lost.key).decode()
    envelope = Envelope(key, [(name, base64.b64encode(value).decode()) for name, value in lost.headers])
    letter = NotifyDeadletter(
        id=source,
        at=clock.iso(lost.at_ms),
        source=source,
        field=field,
        rule=rule,
        key_hash=hashlib.sha256(lost.key or b"").hexdigest()[:16],
        payload=sealer.seal(lost.value or b"", "", source),
        bytes=len(lost.value or b""),
        envelope=sealer.seal(msgspec.json.encode(envelope), "", source),
    )
    return msgspec.json.encode(letter)


def open_letter(sealer: Sealer, letter: NotifyDeadletter) -> Opened:
    """The record as it was; without key and headers in letters of an earlier build. Raises Unsealable."""
    value = sealer.open(letter.payload, "", letter.source)
    if not letter.envelope:
        return Opened(None, value, [])
    around = msgspec.json.decode(sealer.open(letter.envelope, "", letter.source), type=Envelope)
    headers = [(name, base64.b64decode(text)) for name, text in around.headers]
    return Opened(None if around.key is None else base64.b64decode(around.key), value, headers)


def place_of(source: str) -> tuple[str, int] | None:
    """Topic and partition a letter's record came from; None if it came from no topic."""
    match = _SOURCE.match(source)
    return (match["topic"], int(match["partition"])) if match else None


def again(opened: Opened, source: str) -> Headers:
    """Headers of the record produced again: its own, and what it is a retry of (the first, if it was one before)."""
    if any(name == RETRY_OF for name, _ in opened.headers):
        return opened.headers
    return [*opened.headers, (RETRY_OF, source.encode())]


def retried_from(headers: Headers) -> str | None:
    """The source that a record is a retry of; None if it says none, or what is none."""
    text = next((value.decode("latin-1") for name, value in headers if name == RETRY_OF), "")
    return text if _SOURCE.match(text) else None
