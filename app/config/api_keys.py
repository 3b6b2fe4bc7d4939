"""API keys of `/v1`: how one is made, what is kept of it, and how a presented one is verified.

A key is `hg_<key id>_<secret>`: 10 and 52 characters of base32. The secret is 32 random bytes and is kept nowhere; the
store holds the SHA-256 of the whole key. A slow hash (scrypt, Argon2) protects secrets that can be guessed; 256 random
bits cannot be, so it would only cost time for each request. What has not this form is refused before it is hashed:
no entry of the store, however it came there, can admit a weak key.
"""

import base64
import hashlib
import hmac
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from app import clock
from app.config.parsers import Secret

SECRET_BYTES, ID_CHARACTERS = 32, 10
_KEY = re.compile(rf"hg_([a-z2-7]{{{ID_CHARACTERS}}})_[a-z2-7]{{52}}", re.ASCII)
_KEY_ID = re.compile(rf"[a-z2-7]{{{ID_CHARACTERS}}}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


class Scope(StrEnum):
    """What a key may be used for; none includes another. No route asks for CONSENT or ADMIN yet."""

    SEND = "send"
    CANCEL = "cancel"
    READ = "read"
    CONSENT = "consent"
    ADMIN = "admin"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One entry of the store. Times are RFC 3339 in UTC with ms; "" stands for never."""

    key_id: str
    tenant: str
    scopes: tuple[Scope, ...]
    sha256: str
    created_at: str
    name: str = ""
    expires_at: str = ""
    revoked_at: str = ""

    def refusal(self, now_ms: int) -> str:
        """Why the key is not accepted at `now_ms` (ms since the epoch), or ""."""
        if self.revoked_at:
            return "the key was revoked"
        # Times of one form and zone sort as text.
        return "the key has expired" if self.expires_at and self.expires_at <= clock.iso(now_ms) else ""


def generate(tenant: str, scopes: Iterable[Scope], name: str = "", expires_at: str = "") -> tuple[ApiKey, Secret]:
    """A new entry, and the key itself, which cannot be had again."""
    key_id = _base32(os.urandom(10))[:ID_CHARACTERS]
    key = f"hg_{key_id}_{_base32(os.urandom(SECRET_BYTES))}"
    entry = ApiKey(
        key_id=key_id,
        tenant=tenant,
        scopes=tuple(sorted(set(scopes))),
        sha256=hashlib.sha256(key.encode()).hexdigest(),
        created_at=clock.iso(clock.now_ms()),
        name=name,
        expires_at=expires_at,
    )
    return entry, Secret(key)


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


class ApiKeys:
    """The entries in force, found by the key that a caller presents."""

    def __init__(self, entries: Iterable[ApiKey] = ()) -> None:
        self.entries = tuple(entries)
        self._by_id = {entry.key_id: (bytes.fromhex(entry.sha256), entry) for entry in self.entries}

    def find(self, presented: str) -> ApiKey | None:
        """The entry of this key, revoked and expired ones too; None if there is none. The key id is no secret; the
        hashes are compared in constant time."""
        if (match := _KEY.fullmatch(presented)) is None or (found := self._by_id.get(match[1])) is None:
            return None
        digest, entry = found
        return entry if hmac.compare_digest(digest, hashlib.sha256(presented.encode()).digest()) else None

    def revoked(self, times: Mapping[str, str]) -> "ApiKeys":
        """These entries, those whose key id is in `times` revoked at that time (RFC 3339)."""
        return ApiKeys(replace(entry, revoked_at=times.get(entry.key_id, entry.revoked_at)) for entry in self.entries)


def faults_of(entries: Collection[ApiKey]) -> list[str]:
    """Every rule that an entry breaks, one line each, without the hash."""
    faults = [f"{entry.key_id}: {rule}" for entry in entries for rule in _broken(entry)]
    for what, held in (
        ("key id", [entry.key_id for entry in entries]),
        ("hash", [entry.sha256 for entry in entries]),
    ):
        twice = {value for value, count in Counter(held).items() if count > 1}
        found = [entry.key_id for entry, value in zip(entries, held, strict=True) if value in twice]
        faults += [f"{', '.join(found)}: have the same {what}; revoke them and create new keys"] if found else []
    return faults


def _broken(entry: ApiKey) -> Iterator[str]:
    if not _KEY_ID.fullmatch(entry.key_id):
        yield f"key_id must be {ID_CHARACTERS} characters of base32"
    if not _SHA256.fullmatch(entry.sha256):
        yield "sha256 must be 64 hex digits: keys are made by heliograph keys api create"
    if not entry.scopes:
        yield f"scopes must hold at least one of {', '.join(Scope)}"
    for name in ("created_at", "expires_at", "revoked_at"):
        if (value := getattr(entry, name)) and not _TIME.fullmatch(value):
            yield f"{name} must be as 2026-03-03T10:00:00.000Z"


def is_stale(entry: ApiKey, tenants: Collection[str]) -> bool:
    """Whether nobody has taken back the key of a tenant that is gone. `tenants`: names of those that exist."""
    return entry.tenant not in tenants and not entry.revoked_at
