"""The searcher of the leak test: every form in which a canary may hide, and every place that must not hold one."""

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, quote_plus

CHUNK = 8 << 20
LEAST_BASE64 = 8  # 48 bits: not met by chance


class Canary(NamedTuple):
    """What must be nowhere. `kind` is told in its stead when it is found."""

    kind: str
    what: str | bytes


class Leak(NamedTuple):
    """Which canary, in which form, where."""

    kind: str
    form: str
    place: str


def of_number(e164: str) -> list[Canary]:
    """A number of North America with and without +, and as people there write it."""
    area, office, line = e164[2:5], e164[5:8], e164[8:]
    national = [f"({area}) {office}-{line}", f"{area}-{office}-{line}", f"{area}.{office}.{line}"]
    return [Canary("number", text) for text in (e164, e164[1:], e164[2:], *national)]


def of_key(kind: str, hex_digits: str) -> list[Canary]:
    """A key given in hex: its digits in any case, and its bytes."""
    return [Canary(kind, what) for what in (hex_digits, hex_digits.upper(), bytes.fromhex(hex_digits))]


def forms(what: str | bytes) -> dict[bytes, str]:
    """Bytes to look for, and the name of their form."""
    raw = what.encode() if isinstance(what, str) else what
    found = dict.fromkeys(_base64(raw), "base64")
    if isinstance(what, str):
        found |= dict.fromkeys(_escaped(what), "escaped")
        found |= dict.fromkeys((what.encode("utf-16-le"), what.encode("utf-16-be")), "UTF-16")
    return found | {raw: "plain"}


def _escaped(text: str) -> Iterator[bytes]:
    """Percent-encoded, JSON-escaped, and as Python shows it in an exception."""
    for encoded in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield encoded.encode()
        yield re.sub("%..", lambda found: found[0].lower(), encoded).encode()
    for dumped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield dumped.encode()
        yield dumped.replace("/", "\\/").encode()
        yield re.sub(r"(?<=\\u)....", lambda found: found[0].upper(), dumped).encode()
    yield repr(text)[1:-1].encode()
    yield repr(text.encode())[2:-1].encode()


def _base64(raw: bytes) -> Iterator[bytes]:
    """In all three alignments, without the characters at the ends that hold bits of the neighbours."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        inner = encoded[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
        if len(inner) >= LEAST_BASE64:
            yield inner
            yield inner.translate(bytes.maketrans(b"+/", b"-_"))


class Searcher:
    """Looks for canaries. `leaks`: what was found; `looked`: bytes looked at, by place."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._needles: dict[bytes, tuple[str, str]] = {}
        for canary in canaries:
            for needle, form in forms(canary.what).items():
                self._needles.setdefault(needle, (canary.kind, form))
        self._longest = max(map(len, self._needles))
        self.leaks: set[Leak] = set()
        self.looked: dict[str, int] = {}

    def look(self, place: str, data: bytes) -> None:
        """At some bytes."""
        self.looked[place] = self.looked.get(place, 0) + len(data)
        self.leaks |= {Leak(*found, place) for needle, found in self._needles.items() if needle in data}

    def look_at_files(self, directory: Path, but: str = r"(?!)", only: str = "") -> None:
        """At every file below, its name too, whose path below matches `only` and not `but`."""
        for path in sorted(directory.rglob("*")):
            below = str(path.relative_to(directory))
            if path.is_file() and re.search(only, below) and not re.search(but, below):
                self.look(below, below.encode())
                for data in _data_of(path, self._longest):
                    self.look(below, data)


def _data_of(path: Path, overlap: int) -> Iterator[bytes]:
    """What the file holds, in pieces that overlap, without its holes: Kafka's index files are gigabytes of them."""
    with path.open("rb", buffering=0) as file:
        end, at = os.fstat(file.fileno()).st_size, 0
        while at < end and (start := _data_from(file.fileno(), at)) is not None:
            stop = min(start + CHUNK, os.lseek(file.fileno(), start, os.SEEK_HOLE))
            yield os.pread(file.fileno(), stop - start + overlap, start)
            at = stop


def _data_from(fd: int, at: int) -> int | None:
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError:  # ENXIO: a hole, up to the end
        return None
