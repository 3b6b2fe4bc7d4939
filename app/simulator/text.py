"""A text as Twilio keeps it, and the resource it shows of it. Its parts are counted without the product's own rules."""

import json
import time
from email.utils import formatdate
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec

# GSM 03.38: the basic table without ESC; characters of the extension cost two septets.
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")


class StoredText(msgspec.Struct, kw_only=True):
    """`created_at`, `updated_at`, `sent_at`, `send_at`: unix seconds. `number`: place among all texts, from 0; `index`:
    place among accepted creates, -1 for others. `nth`: how many texts this number had been sent, with this one.
    `validity_s`: so long it may wait for its sender. `smart`: typographic characters are replaced as it is sent.
    `discard`, `obfuscate`: what is hidden once it has ended."""

    sid: str
    to: str
    sender: str
    service: str = ""
    body: str = ""
    media: tuple[str, ...] = ()
    status: str
    status_callback: str = ""
    created_at: float
    updated_at: float = 0.0
    sent_at: float | None = None
    send_at: float | None = None
    number: int = 0
    index: int = -1
    nth: int = 0
    direction: str = "outbound-api"
    error_code: int | None = None
    final: bool = False
    validity_s: int = 36_000
    smart: bool = False
    discard: bool = False
    obfuscate: bool = False


def segments(body: str) -> int:
    """GSM-7: 160 septets alone, 153 a part; else UTF-16: 70 units alone, 67 a part. No text counts one."""
    septets = sum(1 if c in BASIC else 2 if c in EXTENSION else 10_000 for c in body)
    if septets < 10_000:
        return 1 if septets <= 160 else -(-septets // 153)
    units = len(body.encode("utf-16-le", "surrogatepass")) // 2
    return 1 if units <= 70 else -(-units // 67)


def parts(text: StoredText) -> int:
    """Segments of a text as it is sent."""
    return segments(text.body.translate(_smart()) if text.smart else text.body)


@lru_cache(maxsize=1)
def _smart() -> dict[int, str]:
    """Twilio's table of smart encoding, the one thing here that the product reads too: a replacement may be longer."""
    table = json.loads((files("app.domain") / "data/smart-encoding.json").read_text())["map"]
    return {int(code.removeprefix("U+"), 16): replacement for code, replacement in table.items()}


@lru_cache(maxsize=64)
def rfc2822(second: int) -> str:
    """As in Twilio's resources: Tue, 24 Nov 2026 10:00:00 +0000."""
    return formatdate(second, usegmt=False).replace("-0000", "+0000")


def iso(second: float) -> str:
    """A time as 2026-11-24T10:00:00Z; `second`: since the epoch."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def resource(account: str, text: StoredText) -> dict[str, Any]:
    """Twilio's message resource. Until a service has chosen a sender, `from` is null and `num_segments` "0"."""
    uri = f"/2010-04-01/Accounts/{account}/Messages/{text.sid}"
    unchosen = bool(text.service) and text.status in ("accepted", "scheduled")
    return {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": "" if text.discard and text.final else text.body,
        "date_created": rfc2822(int(text.created_at)),
        "date_sent": rfc2822(int(text.sent_at)) if text.sent_at else None,
        "date_updated": rfc2822(int(text.updated_at or text.created_at)),
        "direction": text.direction,
        "error_code": text.error_code,
        "error_message": None,
        "from": None if unchosen else text.sender,
        "messaging_service_sid": text.service or None,
        "num_media": str(len(text.media)),
        "num_segments": "0" if unchosen else str(parts(text)),
        "price": None,
        "price_unit": "USD",
        "sid": text.sid,
        "status": text.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": f"{text.to[:-4]}XXXX" if text.obfuscate and text.final else text.to,
        "uri": f"{uri}.json",
    }


def created(text: StoredText) -> dict[str, Any]:
    """As /_sim/creates tells it."""
    return {
        "sid": text.sid,
        "to": text.to,
        "from": text.sender,
        "messaging_service_sid": text.service,
        "body": text.body,
        "media": text.media,
        "status_callback": text.status_callback,
        "created_at": text.created_at,
        "status": text.status,
        "error_code": text.error_code,
        "idx": text.index,
    }
