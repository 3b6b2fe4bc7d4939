"""Twilio's webhooks: the signature, the form, and what a callback says.

HMAC-SHA1 over the URL and the sorted, decoded fields (Twilio: "Validating Signatures from Twilio"), in constant time,
over every field received, blanks and repeats kept. Twilio signs with or without the default port: both are tried.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, urlsplit

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 100

Form = Sequence[tuple[str, str]]


class BadForm(Exception):
    """The body is no form that Twilio would send; `status` is the HTTP answer."""

    def __init__(self, status: int, rule: str) -> None:
        super().__init__(rule)
        self.status, self.rule = status, rule


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Fields in order, blanks and repeats kept, strict UTF-8. Raises BadForm (400 or 413)."""
    if len(body) > MAX_BODY_BYTES:
        raise BadForm(413, f"body is longer than {MAX_BODY_BYTES} bytes")
    if body.count(b"&") >= MAX_FIELDS:
        raise BadForm(400, f"more than {MAX_FIELDS} fields")
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise BadForm(400, "body is not a form in UTF-8") from None


def signed_text(url: str, form: Form) -> bytes:
    """What Twilio signs: the URL, then each name with each of its different values, sorted."""
    fields = sorted(set(form))
    return (url + "".join(name + value for name, value in fields)).encode("utf-8", "surrogatepass")


def signature(secret: str, url: str, form: Form, algorithm: str = "sha1") -> str:
    """The signature of one secret."""
    digest = hmac.digest(secret.encode(), signed_text(url, form), algorithm)
    return base64.b64encode(digest).decode()


def verified(secrets: Iterable[str], given: str, url: str, form: Form) -> bool:
    """Whether any live secret signed this. Never raises."""
    expected = given.encode("utf-8", "surrogatepass")
    texts = [signed_text(variant, form) for variant in _variants(url)]
    good = False
    for secret in secrets:
        for text in texts:
            digest = base64.b64encode(hmac.digest(secret.encode(), text, "sha1"))
            good |= hmac.compare_digest(digest, expected)
    return good


def verified_json(secrets: Iterable[str], given: str, url: str, body: bytes) -> bool:
    """JSON bodies: the URL's `bodySHA256` must be that of the body, and the URL alone is signed."""
    query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    claimed = query.get("bodySHA256", "")
    same = hmac.compare_digest(claimed.encode(), hashlib.sha256(body).hexdigest().encode())
    return verified(secrets, given, url, ()) and same


def _variants(url: str) -> tuple[str, ...]:
    """The URL as configured, and with the default port added or taken away."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.netloc.rpartition("@")[2]
    except ValueError:
        return (url,)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    if port is None and default and "]" not in host:
        return url, url.replace(parts.netloc, f"{parts.netloc}:{default}", 1)
    if port is not None:
        return url, url.replace(parts.netloc, parts.netloc.rpartition(":")[0], 1)
    return (url,)
