"""Lone surrogates, which no UTF-8 text can hold: found and replaced before anything of ours is written with them.

RFC 8259, section 8.2, leaves the behaviour of readers open for them; a record of ours must encode whatever was read.
"""

import re

WARNING = "value: held surrogates, which are not valid Unicode text; lone ones were replaced by U+FFFD"
# Possessive, so that the time is linear in the text: all that is no lone escape is passed over in one match.
_ESCAPED = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++"
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
# Byte sequences of surrogates as CESU-8 and WTF-8 have them; in UTF-8 no ED is followed by A0 or more.
_ENCODED = re.compile(rb"(?:\xed[\xa0-\xbf][\x80-\xbf])+")


def replace_lone_surrogates(text: bytes) -> bytes:
    """JSON `text` with each lone surrogate, escaped or as bytes, replaced by U+FFFD, and each pair of them as bytes by
    the character that it stands for. The text itself if it holds none."""
    if b"\\u" in text:
        text = _ESCAPED.sub(lambda match: b"\\ufffd" if match["lone"] else match[0], text)
    return _ENCODED.sub(_decoded, text)


def valid_text(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD, and each pair of them by the character it stands for."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decoded(match: "re.Match[bytes]") -> bytes:
    return valid_text(match[0].decode("utf-8", "surrogatepass")).encode()
