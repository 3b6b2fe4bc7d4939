"""Twilio's webhooks: the form, and the signature over it.

HMAC over the URL and the sorted, decoded fields (Twilio: "Validating Signatures from Twilio"), in constant time, over
every field received, blanks and repeats kept. Twilio signs with or without the default port: both are tried. A webhook
signed with a shared key names its algorithm in X-Twilio-Webhooks-Signature-Settings.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote_plus, urlsplit

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 100
DIGESTS: Mapping[str, str] = MappingProxyType({"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"})

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
        return read_query(body.decode("ascii"))
    except UnicodeDecodeError:
        raise BadForm(400, "body is not a form in UTF-8") from None


def read_query(text: str) -> list[tuple[str, str]]:
    """As urllib's parse_qsl with blanks kept, at a third of its cost. Raises UnicodeDecodeError."""
    fields = []
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        if "%" in part or "+" in part:
            name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
        fields.append((name, value))
    return fields


def digest_of(settings: str) -> str:
    """The digest named by the signature settings header: sha1 without one, "" for one that we do not know."""
    if not settings:
        return "sha1"
    named = dict(part.strip().partition("=")[::2] for part in settings.split(",")).get("algorithm", "")
    return DIGESTS.get(named.strip().upper() or "HMAC_SHA1", "")


def signature(secret: str, url: str, form: Form, digest: str = "sha1") -> str:
    """What one secret signs `url` and `form` with: base64. For tests and tools; we sign nothing ourselves."""
    return _signature(secret, url, _fields(form), digest).decode()


def verified(secrets: Iterable[str], given: str, urls: Iterable[str], form: Form, digest: str = "sha1") -> bool:
    """Whether any live secret signed this form for any of `urls` (see `variants`). Never raises; no secret, no yes."""
    expected, fields = given.encode("utf-8", "surrogatepass"), _fields(form)
    live = [secret for secret in secrets if secret]
    return bool(digest) and any(
        hmac.compare_digest(_signature(secret, url, fields, digest), expected) for url in urls for secret in live
    )


def verified_json(secrets: Iterable[str], given: str, url: str, body: bytes, digest: str = "sha1") -> bool:
    """JSON bodies: the URL's `bodySHA256` must be that of the body, and the URL alone is signed. Never raises."""
    query = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    claimed = next((value for name, value in query if name == "bodySHA256"), "")
    same = hmac.compare_digest(claimed.encode("utf-8", "replace"), hashlib.sha256(body).hexdigest().encode())
    return verified(secrets, given, variants(url), (), digest) and same


def variants(url: str) -> tuple[str, ...]:
    """The URL as configured, and with the default port added or its port taken away."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return (url,)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    if port is not None:
        return url, url.replace(parts.netloc, parts.netloc.rpartition(":")[0], 1)
    return (url, url.replace(parts.netloc, f"{parts.netloc}:{default}", 1)) if default and parts.netloc else (url,)


def _fields(form: Form) -> bytes:
    """Each name with each of its different values, sorted by code point, without separators."""
    return "".join([name + value for name, value in sorted(set(form))]).encode("utf-8", "surrogatepass")


def _signature(secret: str, url: str, fields: bytes, digest: str) -> bytes:
    text = url.encode("utf-8", "surrogatepass") + fields
    return base64.b64encode(hmac.digest(secret.encode("utf-8", "surrogatepass"), text, digest))
