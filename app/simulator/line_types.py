"""What kind of line a number is, in the words of Lookup v2."""

from collections.abc import Mapping

from app.simulator.consent import TOLL_FREE
from app.simulator.recipient import MAGIC, drawn

MOBILE, LANDLINE = "mobile", "landline"
# The others have no carrier to tell (Twilio: line type intelligence).
WITH_CARRIER = (MOBILE, LANDLINE, "fixedVoip", "nonFixedVoip")
WITHOUT = ("tollFree", "personal", "premium", "sharedCost", "uan", "voicemail", "pager", "unknown")
LINE_TYPES = (*WITH_CARRIER, *WITHOUT)
# Twilio: test credentials; a create to it is refused with 21614, not a mobile number.
BY_NUMBER = {f"{MAGIC}9": LANDLINE}


def read_line(text: str) -> tuple[str | None, int | None]:
    """`landline` or `error:60600` as a line type or an error code. Raises ValueError."""
    word, _, code = text.partition(":")
    if text in LINE_TYPES:
        return text, None
    if word != "error" or not (code.isascii() and code.isdecimal()):
        raise ValueError(f"a line is one of {', '.join(LINE_TYPES)}, or error:code, not {text!r}")
    return None, int(code)


def line_of(number: str, mix: Mapping[str, float], rolled: float) -> str:
    """A line type or `error:60600` by the number itself, else one of the mix; `rolled` (0 to 1) draws it."""
    known = BY_NUMBER.get(number) or ("tollFree" if number.startswith(TOLL_FREE) else "")
    return known or drawn(mix, rolled)


def intelligence(line: str) -> dict[str, object]:
    """The package `line_type_intelligence`. The carrier is the network of tests, 001-01 (ITU E.212)."""
    kind, code = read_line(line)
    carried = kind in WITH_CARRIER
    return {
        "error_code": code,
        "mobile_country_code": "001" if carried else None,
        "mobile_network_code": "01" if kind == MOBILE else None,
        "carrier_name": "Simulated Carrier" if carried else None,
        "type": kind,
    }
