"""The seal: AES-256-GCM around what a person wrote or was written, wherever it travels or rests.

Form: `kid.base64url(nonce | ciphertext | tag)`. Associated data: tenant and subject (a message id, an inbound SID, a
record's place), so that a sealed text cannot be moved to another message. Several keys may open; the first seals.
"""

import base64
import binascii
import os
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import HeliographError

NONCE = 12


class UnsealError(HeliographError):
    """The text is not sealed by a key we hold, or not for this tenant and subject."""


class Content(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is sealed of a message: to whom, what, media URLs, and the link that stands for them in a plain text."""

    to: str
    body: str = ""
    media: tuple[str, ...] = ()
    sender: str = ""
    link: str = ""


class Sealer:
    """Seals with the first key, opens with any. Keys are 32 bytes by key id."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._first = next(iter(keys))

    def seal(self, plain: bytes, tenant: str, subject: str) -> str:
        """Sealed text of `plain`."""
        nonce = os.urandom(NONCE)
        sealed = self._keys[self._first].encrypt(nonce, plain, _associated(tenant, subject))
        return f"{self._first}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, tenant: str, subject: str) -> bytes:
        """What `seal` was given. Raises UnsealError."""
        key_id, _, text = sealed.partition(".")
        try:
            raw = base64.urlsafe_b64decode(text)
            return self._keys[key_id].decrypt(raw[:NONCE], raw[NONCE:], _associated(tenant, subject))
        except (KeyError, InvalidTag, binascii.Error, ValueError):
            raise UnsealError("not sealed by a known key for this tenant and subject") from None

    def seal_content(self, content: Content, tenant: str, subject: str) -> str:
        """Seal a message's content."""
        return self.seal(msgspec.json.encode(content), tenant, subject)

    def open_content(self, sealed: str, tenant: str, subject: str) -> Content:
        """Open a message's content. Raises UnsealError."""
        return msgspec.json.decode(self.open(sealed, tenant, subject), type=Content)


def _associated(tenant: str, subject: str) -> bytes:
    return f"{len(tenant)}:{tenant}:{subject}".encode()
