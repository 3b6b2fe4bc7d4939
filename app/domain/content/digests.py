"""Keyed digests of what a message says: by them a text or a payload is recognised without being stored."""

import hmac

from app.domain.content.segments import smart
from app.domain.model.identity import joined


def text_digest(pseudonym_key: bytes, contact: str, body: str, media: int) -> str:
    """16 hex digits by which a text to this contact is known again on Twilio's list; `media`: how many pictures.

    Keyed, and bound to the contact: it tells nothing of the text, and not that two people were sent the same. Runs of
    white space count as one blank, for what Twilio keeps of them is not promised; typographic characters as what smart
    encoding puts in their place, for the list has the body as it was sent.
    """
    fields = joined("text", contact, " ".join(smart(body).split()), str(media))
    return hmac.digest(pseudonym_key, fields, "sha256").hex()[:16]


def payload_fingerprint(pseudonym_key: bytes, contact: str, *fields: str) -> str:
    """16 hex digits of what a request asks for: the same key with another one is a conflict.

    Keyed, and bound to the contact: a text of few possibilities, such as a code, could be found from a plain hash.
    """
    return hmac.digest(pseudonym_key, joined("payload", contact, *fields), "sha256").hex()[:16]
