"""Twilio's webhooks: the signature over URL and form, or over a URL that holds the hash of a JSON body.

HMAC over the URL and the sorted, decoded fields (Twilio: "Validating Signatures from Twilio"), in constant time, over
every field received, blanks and repeats kept. Twilio signs with or without the default port: both are tried. A webhook
signed with a shared key names it, and its algorithm, in X-Twilio-Webhooks-Signature-Settings.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

import msgspec

from app.provider.webhook_forms import Form

DIGESTS: Mapping[str, str] = MappingProxyType({"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"})


class WebhookSettings(msgspec.Struct, frozen=True):
    """The signature settings header: the id of a shared key or "", and the digest, "" for one that we do not know."""

    key: str
    digest: str


PLAIN = WebhookSettings("", "sha1")


class Keyring:
    """A tenant's live secrets: auth tokens (several during a rotation), and shared keys by their id."""

    __slots__ = ("_all", "_named")

    def __init__(self, tokens: Sequence[str] = (), shared: Mapping[str, str] = MappingProxyType({})) -> None:
        self._all = tuple(secret for secret in (*tokens, *shared.values()) if secret)
        self._named = {key: (secret,) for key, secret in shared.items() if secret}

    def live(self, key: str) -> tuple[str, ...]:
        """Those that may have signed: the shared key that was named, or all where none, or none of ours, is named."""
        return self._named.get(key, self._all)

    def __repr__(self) -> str:
        return "<Keyring>"


def settings_of(header: str) -> WebhookSettings:
    """As the SDK's get_signature_algorithm reads it: the first `algorithm` that says anything; HMAC_SHA1 without."""
    if not header:
        return PLAIN
    named: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.partition("=")
        if value.strip():
            named.setdefault(name.strip(), value.strip())
    return WebhookSettings(named.get("key", ""), DIGESTS.get(named.get("algorithm", "HMAC_SHA1").upper(), ""))


def signature(secret: str, url: str, form: Form, digest: str = "sha1") -> str:
    """What one secret signs `url` and `form` with: base64. For tests and tools; we sign nothing ourselves."""
    return _signature(secret, url, _fields(form), digest).decode()


def verified(secrets: Iterable[str], given: str, urls: Iterable[str], form: Form, digest: str = "sha1") -> bool:
    """Whether any live secret signed this form for any of `urls` (see `variants`). Never raises; no secret, no yes."""
    if not digest:
        return False
    expected, fields = given.encode("utf-8", "surrogatepass"), _fields(form)
    live = [secret for secret in secrets if secret]
    for url in urls:
        for secret in live:
            if hmac.compare_digest(_signature(secret, url, fields, digest), expected):
                return True
    return False


def verified_json(secrets: Iterable[str], given: str, urls: Sequence[str], body: bytes, digest: str = "sha1") -> bool:
    """JSON bodies: the URL's `bodySHA256` must be that of the body, and the URL alone is signed. Never raises."""
    claimed = body_hash(urls[0].partition("?")[2]) if urls else ""
    same = hmac.compare_digest(claimed.encode("utf-8", "replace"), hashlib.sha256(body).hexdigest().encode())
    return verified(secrets, given, urls, (), digest) and same


def body_hash(query: str) -> str:
    """The first `bodySHA256` of a query that says anything, or ""."""
    return next((value for name, value in parse_qsl(query) if name == "bodySHA256"), "")


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
    named = dict(form)
    if len(named) == len(form):
        # No repeats, as in every callback: sorted by half the work.
        return "".join([name + named[name] for name in sorted(named)]).encode("utf-8", "surrogatepass")
    return "".join([name + value for name, value in sorted(set(form))]).encode("utf-8", "surrogatepass")


def _signature(secret: str, url: str, fields: bytes, digest: str) -> bytes:
    text = url.encode("utf-8", "surrogatepass") + fields
    return base64.b64encode(hmac.digest(secret.encode("utf-8", "surrogatepass"), text, digest))
