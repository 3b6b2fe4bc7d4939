"""Ids of contacts and messages, and the masked form of a number, as the design defines them; no code of the product.

Hashed fields are length-prefixed (4 bytes, big-endian). An id has the first 20 hex digits of its hash.
"""

import hashlib
import hmac

DIGITS = 20
TENANT = "default"


def _fields(*fields: str) -> bytes:
    return b"".join(len(field.encode()).to_bytes(4, "big") + field.encode() for field in fields)


def _hash(key: bytes, *fields: str) -> str:
    return hmac.new(key, _fields(*fields), hashlib.sha256).hexdigest()[:DIGITS]


def contact_id(key: bytes, tenant: str, number: str) -> str:
    """HMAC-SHA256 over tenant and number (E.164). `key`: the pseudonym key."""
    return _hash(key, tenant, number)


def message_id(key: bytes, tenant: str, idempotency_key: str, contact: str) -> str:
    """The contact's id, "-", and HMAC-SHA256 over "message", tenant, idempotency key and contact."""
    return f"{contact}-{_hash(key, 'message', tenant, idempotency_key, contact)}"


def masked(number: str) -> str:
    """Three dots and the last four of at least 11 digits, the last two of 7 to 10, else none."""
    digits = number.removeprefix("+")
    shown = 4 if len(digits) >= 11 else 2 if len(digits) >= 7 else 0
    return f"•••{digits[len(digits) - shown :]}"
