"""Media of a message, as far as their URLs tell: what Twilio takes of their type.

Twilio's rule (accepted content types for media): jpeg, png and gif up to 5 MB, every other type that it accepts up to
500 kB; what breaks it fails after the create (12300, 30019, 11751). A URL tells a type by its ending alone and its size
not at all, so these are warnings.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

WHOLE = frozenset({"jpg", "jpeg", "png", "gif"})
_AUDIO = ("aac", "ac3", "amr", "m4a", "mp3", "oga", "ogg", "wav", "weba")
_VIDEO = ("3g2", "3gp", "3gpp", "avi", "h261", "h263", "h264", "mov", "mp4", "mpeg", "mpg", "webm", "wmv")
_OTHER = ("bmp", "heic", "heif", "jfif", "tif", "tiff", "webp", "csv", "ics", "pdf", "pkpass", "rtf", "vcard", "vcf")
SMALL = frozenset((*_AUDIO, *_VIDEO, *_OTHER))


def media_warnings(urls: Sequence[str]) -> tuple[str, ...]:
    """`media[N]` and what may go wrong with it; no part of a URL."""
    found = ((index, _warning(_ending(url))) for index, url in enumerate(urls))
    return tuple(f"media[{index}]: {warning}" for index, warning in found if warning)


def _warning(ending: str) -> str:
    if ending in WHOLE:
        return ""
    if ending in SMALL:
        return f"is {ending}: Twilio takes at most 500 kB of it"
    return "does not tell a type that Twilio is known to take; unless it is jpeg, png or gif, at most 500 kB"


def _ending(url: str) -> str:
    """Lower case; "" without one."""
    try:
        name, dot, ending = urlsplit(url).path.rpartition("/")[2].rpartition(".")
    except ValueError:
        return ""
    return ending.lower() if name and dot else ""
