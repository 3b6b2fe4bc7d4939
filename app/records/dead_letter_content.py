"""What a dead letter keeps of its record: all of it where that fits, else a short prefix of each part, with length and
hash of the whole part."""

import base64
import hashlib
import struct
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from app.records.envelope import Headers

LETTER_BYTES = 4_194_304  # max.message.bytes of notify.deadletters, schemas/topics.yaml
# Everything of a letter's record but its two sealed texts: batch and record header, key, headers, the other fields.
OVERHEAD_BYTES = 16_384
# What both seals may hold together: base64 makes four bytes of three.
ROOM = (LETTER_BYTES - OVERHEAD_BYTES) * 3 // 4
# What is kept of a record that does not fit. It cannot be produced again, so this is to be looked at: more would cost
# time of the worker and disk of the brokers, for the largest records most.
KEPT_BYTES = 65_536
# Headers beyond these are cut, however short: thousands of empty ones are a few bytes to who compresses them, and cost
# 11 bytes each in a letter. No producer that means its headers has as many.
KEPT_HEADERS = 100
# Of KEPT_BYTES, what the envelope says of parts that were cut, and its own brackets.
CUT_BYTES = 1_024
_LENGTH, _NULL = struct.Struct(">I"), b"\xff" * 4


class WholePart(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part that was cut, as it was: its length, the number of headers, and its hash.

    Headers count with the bytes of their names and values, and are hashed with the length of each name and value before
    it (4 bytes, big-endian; FFFFFFFF and nothing else for null).
    """

    bytes: int
    sha256: Annotated[
        str, Meta(description="SHA-256 in hex. Never outside the seal: a guess could be tried against it.")
    ]
    count: int = 0


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a record had around its value. Key, names and values of headers in base64, null as null; `null_value`: the
    record had no value, not an empty one; `cut`: by `key`, `headers` or `value`, each part that is not kept whole."""

    key: str | None
    headers: list[tuple[str, str | None]] = []
    null_value: bool = False
    cut: dict[str, WholePart] = {}


class PackedContent(NamedTuple):
    """What is sealed: the envelope, encoded, and the value or its beginning. `cut`: a part is not whole."""

    envelope: bytes
    value: bytes
    cut: bool


class OpenedContent(NamedTuple):
    """A letter's content: the record as it was, but for the parts named in `cut`, of which it has the beginning."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    cut: dict[str, WholePart] = {}


def pack(key: bytes | None, value: bytes | None, headers: Headers) -> PackedContent:
    """The content of the letter about a record: all of it but the headers beyond KEPT_HEADERS, at most `ROOM` bytes, or
    `KEPT_BYTES`. Never raises."""
    texts = [(_text(_name(name)) or "", _text(given)) for name, given in headers[:KEPT_HEADERS]]
    cut = {"headers": _whole_headers(headers)} if len(texts) < len(headers) else {}
    whole = Envelope(_text(key), texts, value is None, cut)
    encoded = msgspec.json.encode(whole)
    if len(encoded) + len(value or b"") <= ROOM:
        return PackedContent(encoded, value or b"", bool(cut))
    return _cut(whole, key, value, headers)


def unpack(envelope: bytes, value: bytes) -> OpenedContent:
    """The content of a letter, unsealed."""
    kept = msgspec.json.decode(envelope, type=Envelope)
    headers = [
        (base64.b64decode(name).decode("utf-8", "surrogateescape"), _bytes(given)) for name, given in kept.headers
    ]
    return OpenedContent(_bytes(kept.key), None if kept.null_value else value, headers, kept.cut)


def _cut(whole: Envelope, key: bytes | None, value: bytes | None, headers: Headers) -> PackedContent:
    """Key and headers leave the value three quarters of `KEPT_BYTES`, if it needs them."""
    plain, cut = value or b"", dict(whole.cut)
    room = max(KEPT_BYTES // 4, KEPT_BYTES - len(plain)) - CUT_BYTES
    if key is not None and len(whole.key or "") > room // 2:
        cut["key"] = _whole(key)
        key = key[: room // 8 * 3]
    kept, used = _fitting(whole.headers, room - len(_text(key) or ""))
    if len(kept) < len(headers):
        cut["headers"] = whole.cut.get("headers") or _whole_headers(headers)
    left = KEPT_BYTES - CUT_BYTES - len(_text(key) or "") - used
    if len(plain) > left:
        cut["value"] = _whole(plain)
    return PackedContent(msgspec.json.encode(Envelope(_text(key), kept, value is None, cut)), plain[:left], True)


def _fitting(headers: list[tuple[str, str | None]], room: int) -> tuple[list[tuple[str, str | None]], int]:
    """The first headers that fit, and the bytes they take."""
    used = 0
    for index, (name, given) in enumerate(headers):
        size = len(name) + len(given or "") + 12  # brackets, quotes, commas, null
        if used + size > room:
            return headers[:index], used
        used += size
    return headers, used


def _whole(raw: bytes) -> WholePart:
    return WholePart(len(raw), hashlib.sha256(raw).hexdigest())


def _whole_headers(headers: Headers) -> WholePart:
    parts = list[bytes]()
    for name, given in headers:
        raw = _name(name)
        parts += (_LENGTH.pack(len(raw)), raw, _NULL if given is None else _LENGTH.pack(len(given)), given or b"")
    hashed = b"".join(parts)
    return WholePart(len(hashed) - 2 * _LENGTH.size * len(headers), hashlib.sha256(hashed).hexdigest(), len(headers))


def _name(name: str) -> bytes:
    """The bytes of a header's name, which was decoded with `surrogateescape`; any other text has bytes too."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
