"""Texts as they are compared with keywords and phrases: upper-case words, however a person or a phone wrote them."""

import re
import unicodedata

# A line that begins a signature: "--", a dash longer than a hyphen, a tilde or an underscore.
_SIGNATURE = re.compile(r"\s*(?:--|[‒–—―~_])")
# What mail and messaging programs add below a text, or behind it. As normalized words.
_FOOTER = re.compile(
    r" (?:SENT (?:FROM|VIA|WITH|USING) |GET OUTLOOK FOR |ENVOYE (?:DE|DEPUIS) MON |ENVIADO (?:DESDE|DO|DE) |"
    r"VON MEINE[MR] .* GESENDET$|GESENDET (?:VON|MIT) |INVIATO DA|VERZONDEN V[AI]).*"
)
_APOSTROPHES = dict.fromkeys(map(ord, "'’‘ʼ`´＇"))
# Marks on letters, and characters that are not seen: joiners, soft hyphens, marks of direction.
_UNSEEN = {"Mn", "Me", "Cf"}


def normalized_words(text: str) -> list[str]:
    """Upper-case words without accents, width, apostrophes and invisible characters; all else but letters and digits
    parts words. Letters that stand alone are one word: S.T.O.P is STOP."""
    bare = text.translate(_APOSTROPHES)
    split = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", bare).upper())
    seen = (c for c in split if unicodedata.category(c) not in _UNSEEN)
    words = "".join(c if c.isalnum() else " " for c in seen).split()
    spelled = len(words) > 2 and all(len(word) == 1 for word in words)
    return ["".join(words)] if spelled else words


def without_signature(body: str) -> str:
    """The lines above a signature, or all of them if it is the first."""
    lines = body.strip().splitlines()
    cut = next((n for n, line in enumerate(lines) if n and _SIGNATURE.match(line)), len(lines))
    return "\n".join(lines[:cut])


def without_footer(words: str) -> str:
    """Normalized words without what the phone added behind them."""
    return _FOOTER.sub("", words)
