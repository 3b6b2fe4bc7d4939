"""Who and what a record is about: pseudonyms of people, ids of messages, fingerprints of payloads.

Fields are length-prefixed before hashing, so that no two different lists of fields hash alike.
"""

import hmac
import re
from typing import TypeGuard

from app.domain.segments import smart

DIGITS = 20
# Raised when ids are derived in another way, or inputs and rows of before cannot be read: a log of an older form is
# refused at the start, as one of another key is. 2: ids of messages are keyed, a caller's own fields sealed.
FORM = 2
_CONTACT_ID = re.compile(rb"[0-9a-f]{%d}" % DIGITS)


def _joined(*fields: str) -> bytes:
    return b"".join(len(raw := field.encode()).to_bytes(4, "big") + raw for field in fields)


def contact_id(pseudonym_key: bytes, tenant: str, address: str) -> str:
    """20 hex digits of HMAC-SHA256 over tenant and canonical address: one recipient of one tenant, no number in it."""
    return hmac.digest(pseudonym_key, _joined(tenant, address), "sha256").hex()[:DIGITS]


def is_contact_id(key: bytes | None) -> TypeGuard[bytes]:
    """Whether the key of a record has the form of a contact id."""
    return key is not None and _CONTACT_ID.fullmatch(key) is not None


def message_id(pseudonym_key: bytes, tenant: str, idempotency_key: str, contact: str) -> str:
    """`contact-` and 20 hex digits: the same request twice is the same message.

    Keyed: an id travels where the idempotency key must not be found, and many of these are numbers that can be guessed.
    """
    fields = _joined("message", tenant, idempotency_key, contact)
    return f"{contact}-{hmac.digest(pseudonym_key, fields, 'sha256').hex()[:DIGITS]}"


def text_digest(pseudonym_key: bytes, contact: str, body: str, media: int) -> str:
    """16 hex digits by which a text to this contact is known again on Twilio's list; `media`: how many pictures.

    Keyed, and bound to the contact: it tells nothing of the text, and not that two people were sent the same. Runs of
    white space count as one blank, for what Twilio keeps of them is not promised; typographic characters as what smart
    encoding puts in their place, for the list has the body as it was sent.
    """
    fields = _joined("text", contact, " ".join(smart(body).split()), str(media))
    return hmac.digest(pseudonym_key, fields, "sha256").hex()[:16]


def key_fingerprint(pseudonym_key: bytes, form: int = FORM) -> str:
    """8 hex digits that tell one pseudonym key, and one `FORM`, from another, and nothing of the key."""
    named = f"heliograph key fingerprint {form}" if form > 1 else "heliograph key fingerprint"
    return hmac.digest(pseudonym_key, named.encode(), "sha256").hex()[:8]


def is_older_form(pseudonym_key: bytes, fingerprint: str) -> bool:
    """Whether a fingerprint is of this key, as an older build made it."""
    return fingerprint in {key_fingerprint(pseudonym_key, form) for form in range(1, FORM)}


def payload_fingerprint(pseudonym_key: bytes, contact: str, *fields: str) -> str:
    """16 hex digits of what a request asks for: the same key with another one is a conflict.

    Keyed, and bound to the contact: a text of few possibilities, such as a code, could be found from a plain hash.
    """
    return hmac.digest(pseudonym_key, _joined("payload", contact, *fields), "sha256").hex()[:16]
