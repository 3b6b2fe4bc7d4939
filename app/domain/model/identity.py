"""Who and what a record is about: pseudonyms of people, ids of messages, fingerprints of keys.

Fields are length-prefixed before hashing, so that no two different lists of fields hash alike.
"""

import hmac
import re
from typing import TypeGuard

DIGITS = 20
# Raised when ids are derived in another way, or inputs and rows of before cannot be read: a log of an older form is
# refused at the start, as one of another key is. 2: ids of messages are keyed, a caller's own fields sealed.
FORM = 2
_CONTACT_ID = re.compile(rb"[0-9a-f]{%d}" % DIGITS)


def joined(*fields: str) -> bytes:
    """The fields, each behind its length in bytes: input of every hash of a list of fields."""
    return b"".join(len(raw := field.encode()).to_bytes(4, "big") + raw for field in fields)


def contact_id(pseudonym_key: bytes, tenant: str, address: str) -> str:
    """20 hex digits of HMAC-SHA256 over tenant and canonical address: one recipient of one tenant, no number in it."""
    return hmac.digest(pseudonym_key, joined(tenant, address), "sha256").hex()[:DIGITS]


def is_contact_id(key: bytes | None) -> TypeGuard[bytes]:
    """Whether the key of a record has the form of a contact id."""
    return key is not None and _CONTACT_ID.fullmatch(key) is not None


def message_id(pseudonym_key: bytes, tenant: str, idempotency_key: str, contact: str) -> str:
    """`contact-` and 20 hex digits: the same request twice is the same message.

    Keyed: an id travels where the idempotency key must not be found, and many of these are numbers that can be guessed.
    """
    fields = joined("message", tenant, idempotency_key, contact)
    return f"{contact}-{hmac.digest(pseudonym_key, fields, 'sha256').hex()[:DIGITS]}"


def key_fingerprint(pseudonym_key: bytes, form: int = FORM) -> str:
    """8 hex digits that tell one pseudonym key, and one `FORM`, from another, and nothing of the key."""
    named = f"heliograph key fingerprint {form}" if form > 1 else "heliograph key fingerprint"
    return hmac.digest(pseudonym_key, named.encode(), "sha256").hex()[:8]


def is_older_form(pseudonym_key: bytes, fingerprint: str) -> bool:
    """Whether a fingerprint is of this key, as an older build made it."""
    return fingerprint in {key_fingerprint(pseudonym_key, form) for form in range(1, FORM)}
