"""Lone surrogates, which no UTF-8 text can hold: found and replaced before anything of ours is written with them.

RFC 8259, section 8.2, leaves the behaviour of readers open for them; a record of ours must encode whatever was read.
"""

import re

WARNING = "value: held surrogates, which are not valid Unicode text; lone ones were replaced by U+FFFD"
# A request of ordinary size cannot hold more. What is left makes the text no JSON, and costs no more time.
MOST = 10_000
# An escaped backslash, so that what follows it is no escape. 0xFF is in no UTF-8 text.
_BACKSLASH, _NOT_UTF8 = rb"\\", b"\xff"
_ESCAPED = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
# Byte sequences of surrogates as CESU-8 and WTF-8 have them; in UTF-8 no ED is followed by A0 or more.
_ENCODED = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_ENCODED_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_REPLACEMENT = "\ufffd".encode()


def replace_lone_surrogates(text: bytes) -> bytes:
    """JSON `text` with each lone surrogate, escaped or as bytes, replaced by U+FFFD, and each pair of them as bytes by
    the character that it stands for; the first `MOST` of each kind. The text itself if it holds none, or 0xFF.

    Takes less than a millisecond for a megabyte without surrogates: it is called for whatever is no JSON.
    """
    if _NOT_UTF8 in text:
        return text
    if b"\\" in text and (b"\\ud" in text or b"\\uD" in text):
        hidden = text.replace(_BACKSLASH, _NOT_UTF8)
        text = _ESCAPED.sub(rb"\\ufffd", hidden, MOST).replace(_NOT_UTF8, _BACKSLASH)
    if b"\xed" in text:
        text = _ENCODED.sub(_REPLACEMENT, _ENCODED_PAIR.sub(_decoded, text, MOST), MOST)
    return text


def valid_text(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD, and each pair of them by the character it stands for."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decoded(match: "re.Match[bytes]") -> bytes:
    return valid_text(match[0].decode("utf-8", "surrogatepass")).encode()
