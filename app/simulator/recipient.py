"""What becomes of a text: by number and count, so that a mix is the same whatever the order of arrival.

+15005550001 and its neighbours are Twilio's magic test numbers (Twilio: test credentials).
"""

from collections.abc import Mapping
from typing import NamedTuple

TO_ERRORS = {
    "+15005550001": (21211, "The 'To' number is not a valid phone number"),
    "+15005550002": (21612, "The 'To' phone number is not currently reachable via SMS"),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region"),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number is not a valid mobile number"),
}
MAGIC, VALID_FROM = "+1500555000", "+15005550006"
FROM_ERRORS = {
    "+15005550001": (21212, "The 'From' number is not a valid phone number"),
    "+15005550008": (21611, "This 'From' number has exceeded the maximum number of queued messages"),
}
NO_SENDER = (21606, "The 'From' phone number is not a valid message-capable number")
# How texts that do not arrive fail, and how often among them.
CODES = {30003: 4, 30005: 3, 30006: 2, 30007: 2, 30008: 1}
ENDS = ("delivered", "undelivered", "failed", "silent", "read", "stuck", "corrected", "contradicted")
# What comes after `sent`. Stuck: it never leaves the queue. Receipts of segments contradict each other now and then.
GOOD = {"silent": (), "delivered": ("delivered",), "read": ("delivered", "read"), "stuck": ()}
BAD = {
    "undelivered": ("undelivered",),
    "corrected": ("undelivered", "delivered"),
    "contradicted": ("delivered", "undelivered"),
}
OPTED_OUT = 21610


class RecipientBehaviour(NamedTuple):
    """`steps`: statuses called back in order; `code`: Twilio's error of the last one."""

    steps: tuple[str, ...]
    code: int | None


def from_error(sender: str) -> tuple[int, str] | None:
    """Twilio's refusal of a sender: of the test numbers one alone may send; any other number may."""
    if sender == VALID_FROM or not (sender.startswith(MAGIC) and len(sender) == len(VALID_FROM)):
        return None
    return FROM_ERRORS.get(sender, NO_SENDER)


def read_end(text: str) -> tuple[str, int | None]:
    """`undelivered:30005` as its parts. Raises ValueError."""
    end, _, code = text.partition(":")
    if end not in ENDS or (code and not code.isdigit()):
        raise ValueError(f"an end is one of {', '.join(ENDS)}, with :code if you like, not {text!r}")
    return end, int(code) if code else None


def fate(end: str, rolled: float, *, service: bool) -> RecipientBehaviour:
    """The life of a text that comes to this end; `rolled` (0 to 1) draws the error if the end names none."""
    word, code = read_end(end)
    way = ("queued", "sending", "sent") if service else ("sending", "sent")
    if word in GOOD:
        return RecipientBehaviour((*way, *GOOD[word]) if word != "stuck" else way[:-2], None)
    code = code or int(drawn({str(known): weight for known, weight in CODES.items()}, rolled))
    return RecipientBehaviour((*way[:-2], word) if word == "failed" else (*way, *BAD[word]), code)


def drawn(weights: Mapping[str, float], rolled: float) -> str:
    """One of the names, by weight."""
    left = rolled * sum(weights.values())
    for name, weight in weights.items():
        if left < weight:
            return name
        left -= weight
    return next(reversed(list(weights)))
