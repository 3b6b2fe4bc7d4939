"""What becomes of a text: seeded by number and count, so that a mix is the same whatever the order of arrival.

Numbers that end in ...5550001 to ...5550009 behind +1500 are Twilio's magic test numbers (Twilio: test credentials).
"""

import random
from typing import NamedTuple

TO_ERRORS = {
    "+15005550001": (21211, "The 'To' number is not a valid phone number"),
    "+15005550002": (21612, "The 'To' phone number is not currently reachable via SMS"),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region"),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number is not a valid mobile number"),
}
FROM_ERRORS = {
    "+15005550001": (21212, "The 'From' number is not a valid phone number"),
    "+15005550007": (21606, "The 'From' phone number is not a valid message-capable number"),
    "+15005550008": (21611, "This 'From' number has exceeded the maximum number of queued messages"),
}
# How texts that do not arrive fail, and how often among them.
CODES = ((30003, 4), (30005, 3), (30006, 2), (30007, 2), (30008, 1))


class Fate(NamedTuple):
    """`steps`: statuses called back in order; `code`: Twilio's error of the last one."""

    steps: tuple[str, ...]
    code: int | None


def fate(seed: int, to: str, count: int, mix: dict[str, float], service: bool) -> Fate:
    """The fate of the `count`-th text to a number."""
    rng = random.Random(f"{seed}:{to}:{count}")  # noqa: S311 - a reproducible mix, no secret
    end = rng.choices(list(mix), list(mix.values()))[0]
    way = ("queued", "sending", "sent") if service else ("sending", "sent")
    if end == "delivered":
        return Fate((*way, "delivered"), None)
    if end == "silent":
        return Fate(way, None)
    code = rng.choices([c for c, _ in CODES], [w for _, w in CODES])[0]
    return Fate((*way, "undelivered"), code) if end == "undelivered" else Fate((*way[:-1], "failed"), code)
