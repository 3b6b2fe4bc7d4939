"""Addresses: from what people write to one canonical form, and what of it may be shown.

`is_possible` by libphonenumber at the door; `strict` asks `is_valid`. Variants that reach the same handset are folded:
Mexico +52 1 ... and Argentina +54 9 ... (libphonenumber's own notes on both countries).
"""

from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import NumberParseException

CHANNELS = ("whatsapp:", "rcs:", "messenger:")
# Strangers, too, have their addresses read: what is remembered must not be as long as they like.
LONGEST_REMEMBERED = 64


class Address(NamedTuple):
    """`canonical`: E.164, or the raw text of what is no number; `problem`: why it cannot be texted, or ""."""

    canonical: str
    country: str
    masked: str
    problem: str


def read_address(raw: str, strict: bool = False) -> Address:
    """Canonical form of a phone number in international notation (`+` and country code)."""
    return _remembered(raw, strict) if len(raw) <= LONGEST_REMEMBERED else _read(raw, strict)


def _read(raw: str, strict: bool) -> Address:
    text = raw.strip()
    for prefix in CHANNELS:
        text = text.removeprefix(prefix)
    try:
        number = phonenumbers.parse(text)
    except NumberParseException:
        return Address(text, "ZZ", mask(text), "is not a phone number with + and country code")
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    canonical = _folded(written)
    if canonical != written:
        number = phonenumbers.parse(canonical)
    country = phonenumbers.region_code_for_number(number) or "ZZ"
    if not phonenumbers.is_possible_number(number):
        return Address(canonical, country, mask(canonical), "is not a possible phone number")
    if strict and not phonenumbers.is_valid_number(number):
        return Address(canonical, country, mask(canonical), "is not a valid phone number")
    return Address(canonical, country, mask(canonical), "")


_remembered = lru_cache(maxsize=1 << 14)(_read)


def _folded(e164: str) -> str:
    if e164.startswith("+521") and len(e164) == 14:
        return "+52" + e164[4:]
    if e164.startswith("+549") and len(e164) == 14:
        return "+54" + e164[4:]
    return e164


def mask(address: str) -> str:
    """+14155550123 as +1415•••0123. Three digits at least stay hidden: a short number shows less of itself, and what is
    no number in canonical form (a number without its +, a name) nothing at all."""
    if not address.startswith("+") or not address[1:].isdecimal() or len(address) < 9:
        return "•••"
    head, tail = (5, 4) if len(address) >= 12 else (3, 3)
    return f"{address[:head]}•••{address[-tail:]}"
