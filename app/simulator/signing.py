"""Twilio's signature: HMAC-SHA1 over the URL and the sorted fields, base64."""

import base64
import hmac
from collections.abc import Mapping


def sign(token: str, url: str, fields: Mapping[str, str]) -> str:
    """The value of X-Twilio-Signature."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()
