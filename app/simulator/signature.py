"""Twilio's signature: HMAC over the URL and the sorted fields, base64."""

import base64
import hashlib
import hmac
from collections.abc import Mapping


def sign(token: str, url: str, fields: Mapping[str, str], digest: str = "sha1") -> str:
    """The value of X-Twilio-Signature; of a webhook in JSON `fields` is empty."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.digest(token.encode(), text.encode("utf-8", "surrogatepass"), digest)).decode()


def with_digest(url: str, body: bytes) -> str:
    """The URL of a webhook in JSON: `bodySHA256` in its query holds the body to the signature."""
    return f"{url}{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(body).hexdigest()}"
