"""Addresses: from what people write to one canonical form, and what of it may be shown.

`is_possible` by libphonenumber at the door; `strict` asks `is_valid`. Variants that reach the same handset are folded:
Mexico +52 1 ... and Argentina +54 9 ... (libphonenumber's own notes on both countries).
"""

import re
from functools import lru_cache
from typing import NamedTuple
from unicodedata import category

import phonenumbers
from phonenumbers import NumberParseException

CHANNELS = ("whatsapp:", "rcs:", "messenger:")
# Strangers, too, have their addresses read: what is remembered must not be as long as they like.
LONGEST_REMEMBERED = 64
# What documents, keyboards and spreadsheets leave inside numbers beside format characters (Unicode category Cf): marks
# and fillers that have no width of their own (Default_Ignorable_Code_Point), and the blank of Braille.
_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_NO_NUMBER = "is not a phone number with + and country code"
_EXTENSION = re.compile(r"(?<=\d)\s*(?:;?\s*ext|extension|x|#|[,;]+)[\s.:=]*\d{1,9}\s*$", re.IGNORECASE)
_FLOAT = re.compile(r"\+?\d[.,]\d+e\+?\d+", re.IGNORECASE)
# Of one number: digits of any script, and the punctuation that people put between them.
_WRITTEN = re.compile(r"[+\uff0b][\d ().\-/~\u2010-\u2015\u2212\u30fc\uff08\uff09\uff0d-\uff0f\u2053\u223c\uff5e]+")


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
    text = _visible(raw).strip()
    for prefix in (*CHANNELS, "tel:"):  # RFC 3966
        text = text.removeprefix(prefix)
    if problem := _problem(text):
        return Address(text, "ZZ", mask(text), problem)
    try:
        number = phonenumbers.parse(text)
    except NumberParseException:
        return Address(text, "ZZ", mask(text), _NO_NUMBER)
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


def _visible(text: str) -> str:
    """Without characters that nobody sees; every blank (U+202F and its like) as a space."""
    if text.isascii():
        return text
    kinds = [(character, category(character)) for character in _INVISIBLE.sub("", text)]
    return "".join(" " if kind == "Zs" else character for character, kind in kinds if kind != "Cf")


def _problem(text: str) -> str:
    """Why this is not one number as it must be written, or "".

    libphonenumber would take letters for the digits of their keys, and drop extensions and what stands around a number:
    a typing error would text a stranger.
    """
    if _WRITTEN.fullmatch(text):
        return ""
    if _FLOAT.fullmatch(text):
        return "was turned into a floating point number by a spreadsheet: format the column as text"
    if _EXTENSION.search(text):
        return "has an extension, which cannot be texted"
    if any(character.isalpha() for character in text) and any(character.isdecimal() for character in text):
        return "has letters among its digits"
    if text.count("+") > 1:
        return "is more than one number"
    return _NO_NUMBER


_remembered = lru_cache(maxsize=1 << 14)(_read)


def _folded(e164: str) -> str:
    if e164.startswith("+521") and len(e164) == 14:
        return "+52" + e164[4:]
    if e164.startswith("+549") and len(e164) == 14:
        return "+54" + e164[4:]
    return e164


def mask(address: str) -> str:
    """What may be shown of an address: +14155550123 as •••0123.

    The last four digits of 11 or more, the last two of 7 to 10, else none. The country calling code has three digits at
    most, so this is never more than half of the subscriber's number; the country is told apart (`Address.country`). Of
    what is no number in canonical form (a short code, a number without its +, a name) nothing is shown.
    """
    digits = address[1:] if address.startswith("+") and address[1:].isdecimal() else ""
    shown = 4 if len(digits) >= 11 else 2 if len(digits) >= 7 else 0
    return f"•••{digits[len(digits) - shown :]}"
