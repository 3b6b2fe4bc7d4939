"""How many billed parts a text has, before it is sent.

GSM 03.38: 160 septets alone, 153 joined (the header costs 7); otherwise UTF-16: 70 units alone, 67 joined. An escape
pair and a grapheme cluster stay in one part, as Twilio's own calculator has it (sms-segments-calculator).
"""

import json
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

GSM7_ALONE, GSM7_JOINED = 160, 153
UCS2_ALONE, UCS2_JOINED = 70, 67
_JOINERS = {"\u200d", "\ufe0f", "\ufe0e"}


class Segments(NamedTuple):
    """`units` are septets (GSM-7) or UTF-16 code units (UCS-2)."""

    encoding: str
    units: int
    parts: int


@lru_cache(maxsize=1)
def _gsm7() -> dict[str, int]:
    table = json.loads((files("app.domain") / "data/gsm7.json").read_text())
    return {chr(c): 1 for c in table["basic"]} | {chr(c): 2 for c in table["extension"]}


@lru_cache(maxsize=1)
def _smart() -> dict[int, str]:
    table = json.loads((files("app.domain") / "data/smart-encoding.json").read_text())["map"]
    return {int(code.removeprefix("U+"), 16): text for code, text in table.items()}


def smart(text: str) -> str:
    """The text with typographic characters replaced as Twilio's smart encoding does; it may become longer."""
    return text.translate(_smart())


def with_link(body: str, link: str) -> str:
    """The text that goes where media cannot be received."""
    return f"{body} {link}" if body.strip() else link


def count(text: str) -> Segments:
    """Segments of a text as it would be sent; an empty text counts one (media alone)."""
    costs = _gsm7()
    try:
        units = [costs[character] for character in text]
    except KeyError:
        return _parts("UCS-2", [len(c.encode("utf-16-le")) // 2 for c in _clusters(text)], UCS2_ALONE, UCS2_JOINED)
    return _parts("GSM-7", units, GSM7_ALONE, GSM7_JOINED)


def _parts(encoding: str, costs: list[int], alone: int, joined: int) -> Segments:
    total = sum(costs)
    if total <= alone:
        return Segments(encoding, total, 1)
    parts, room = 1, joined
    for cost in costs:
        if cost > room and cost <= joined:
            parts, room = parts + 1, joined
        while cost > room:  # a cluster longer than a part is cut
            cost, parts, room = cost - room, parts + 1, joined
        room -= cost
    return Segments(encoding, total, parts)


def _clusters(text: str) -> Iterator[str]:
    """Grapheme clusters, as far as they matter here: marks, variation selectors, joiners, skin tones, flag pairs."""
    cluster = ""
    for character in text:
        if cluster and not _extends(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _extends(cluster: str, character: str) -> bool:
    if character in _JOINERS or unicodedata.combining(character) or "\U0001f3fb" <= character <= "\U0001f3ff":
        return True
    if _flag(character):
        return len(cluster) == 1 and _flag(cluster)
    return cluster.endswith("\u200d")


def _flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
