"""Ids of contacts and messages, and the masked form of a number, as the design defines them; no code of the product.

Hashed fields are length-prefixed (4 bytes, big-endian). An id has the first 20 hex digits of its hash.
"""

import hashlib
import hmac

DIGITS = 20
TENANT = "default"


def _fields(*fields: str) -> bytes:
    return b"".join(len(field.encode()).to_bytes(4, "big") + field.encode() for field in fields)


def contact_id(key: bytes, tenant: str, number: str) -> str:
    """HMAC-SHA256 over tenant and number (E.164). `key`: the pseudonym key."""
    return hmac.new(key, _fields(tenant, number), hashlib.sha256).hexdigest()[:DIGITS]


def message_id(tenant: str, idempotency_key: str, contact: str) -> str:
    """The contact's id, "-", and SHA-256 over tenant, idempotency key and contact."""
    return f"{contact}-{hashlib.sha256(_fields(tenant, idempotency_key, contact)).hexdigest()[:DIGITS]}"


def masked(number: str) -> str:
    """Five characters, three dots, the last four: of a number of the North American plan (+1 and ten digits)."""
    return f"{number[:5]}•••{number[-4:]}"
