"""Family `deadletters`: what could not be read or was refused, kept with its reason, its payload sealed.

What became of a letter is appended to the same topic, under the same key: a topic takes nothing back.
"""

import re
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from app import clock
from app.domain.model import schema_fields as f
from app.records.codec import MAX_FIELD, MAX_RULE
from app.records.dead_letter_content import OpenedContent, pack, unpack
from app.records.envelope import Headers, headers
from app.records.seal import Sealer

# A record that is produced again says what it was: with it a request without a key keeps the identity it had.
RETRY_OF = "heliograph-retry-of"
# How the rule of a letter begins that blames no field: the fold raised. See `SET_ASIDE` too.
FAULT = "fault of ours: "
_SOURCE = re.compile(r"(?P<topic>[\w.-]{1,249})-(?P<partition>\d{1,9})-(?P<offset>\d{1,18})\Z", re.ASCII)
Source = Annotated[str, Meta(description="topic-partition-offset of the record; ingress-id for a webhook.")]
Letter = Annotated[str, Meta(description="partition-offset of the letter.")]


class NotifyDeadletter(msgspec.Struct, frozen=True, kw_only=True, tag="notify.deadletter.v1", tag_field="type"):
    """A record that could not be read or was refused: `field` and `rule` say what was wrong with it."""

    id: f.Id
    at: f.Iso
    source: Source
    field: f.FaultyField
    rule: f.Rule
    payload: f.SealedPayload
    bytes: Annotated[
        int, Meta(description="Length of the record's whole value; of what was read, if it could not be read whole.")
    ]
    envelope: f.SealedEnvelope = ""
    cut: Annotated[bool, Meta(description="Value, key or headers are not whole, or of a whole batch.")] = False


class NotifyDeadletterHandled(
    msgspec.Struct, frozen=True, kw_only=True, tag="notify.deadletter_handled.v1", tag_field="type"
):
    """An operator is done with a letter: it was `retried` or `dropped`."""

    id: f.Id
    at: f.Iso
    letter: Letter
    source: Source
    how: Annotated[Literal["retried", "dropped"], Meta(description="What was done.")]
    by: f.By
    os_user: f.OsUser = ""
    sudo_user: f.SudoUser = ""


class NotifyDeadletterOpened(
    msgspec.Struct, frozen=True, kw_only=True, tag="notify.deadletter_opened.v1", tag_field="type"
):
    """Somebody was shown what a letter holds."""

    id: f.Id
    at: f.Iso
    letter: Letter
    source: Source
    by: f.By
    os_user: f.OsUser = ""
    sudo_user: f.SudoUser = ""


DeadletterRecord = NotifyDeadletter | NotifyDeadletterHandled | NotifyDeadletterOpened


class LostRecord(NamedTuple):
    """The record a letter is about. `place`: partition-offset, or an id of the door's; `at_ms`: its log time; `part`:
    the value is the beginning of the record's own, or a batch that could not be read."""

    topic: str
    place: str
    key: bytes | None
    value: bytes | None
    at_ms: int
    headers: Headers = []
    part: bool = False


def dead_letter(sealer: Sealer, lost: LostRecord, field: str, rule: str) -> tuple[bytes, Headers]:
    """Value and headers of the dead letter of a record. Never raises, and always fits `notify.deadletters`: what is too
    long is kept as a prefix, and the letter says so (`cut`)."""
    source, at = f"{lost.topic}-{lost.place}", clock.iso(lost.at_ms)
    packed = pack(lost.key, lost.value, lost.headers)
    letter = NotifyDeadletter(
        id=source,
        at=at,
        source=source,
        field=_bounded(field, MAX_FIELD),
        rule=_bounded(rule, MAX_RULE),
        payload=sealer.seal(packed.value, "", source),
        bytes=len(lost.value or b""),
        envelope=sealer.seal(packed.envelope, "", source),
        cut=packed.cut or lost.part,
    )
    return msgspec.json.encode(letter), headers("notify.deadletter.v1", letter.id, letter.at)


def _bounded(text: str, most: int) -> str:
    return text[:most].encode("utf-8", "replace").decode()


def open_letter(sealer: Sealer, letter: NotifyDeadletter) -> OpenedContent:
    """The record as it was, or the beginning of what is in `OpenedContent.cut`; without key and headers in
    letters of an earlier build. Raises UnsealError."""
    value = sealer.open(letter.payload, "", letter.source)
    if not letter.envelope:
        return OpenedContent(None, value, [])
    return unpack(sealer.open(letter.envelope, "", letter.source), value)


def place_of(source: str) -> tuple[str, int] | None:
    """Topic and partition a letter's record came from; None if it came from no topic."""
    match = _SOURCE.match(source)
    return (match["topic"], int(match["partition"])) if match else None


def again(opened: OpenedContent, source: str) -> Headers:
    """Headers of the record produced again: its own, and what it is a retry of (the first, if it was one before)."""
    if any(name == RETRY_OF for name, _ in opened.headers):
        return opened.headers
    return [*opened.headers, (RETRY_OF, source.encode())]


def retried_from(headers: Headers) -> str | None:
    """The source that a record is a retry of; None if it says none, or what is none."""
    found = next((value for name, value in headers if name == RETRY_OF), None) or b""
    text = found.decode("latin-1")
    return text if _SOURCE.match(text) else None
