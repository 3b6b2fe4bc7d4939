"""Rules for the head of a request that the HTTP parser leaves to its user.

A control character in a header that nobody here reads must not refuse a valid webhook (RFC 9110, section 5.5, lets a
recipient keep such a value or refuse it). What two readers of one request could take in two ways is refused: a proxy in
front may have read it the other way (RFC 9112, section 11.2).
"""

import re
from typing import Any

from app.ingress.http.connection_close import CloseReason

Headers = list[tuple[bytes, bytes]]
# Read here by the first or by the last that stands there, or by a proxy in front.
ONCE = frozenset(
    {
        b"host",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"authorization",
        b"idempotency-key",
        b"x-twilio-signature",
        b"x-twilio-webhooks-signature-settings",
        b"i-twilio-idempotency-token",
    }
)
READ = ONCE | {b"connection", b"expect", b"upgrade"}
READ |= {b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix"}
_ORDINARY = bytes({*range(256)} - {*range(9), 11, 12, *range(14, 32), 127})
# A line that goes on in the next one, or that ends with a line feed alone.
_LOOSE = re.compile(rb"\n[ \t]|(?<=[^\r])\n")


class HeaderLeniency:
    """Lets an HTTP parser read a head with control characters in its values, and no other.

    A lenient parser takes folded lines and bare line feeds, too, so these are looked for here (RFC 9112, sections 2.2
    and 5.2, lets them be refused).
    """

    __slots__ = ("_last", "_lenient", "_parser")

    def __init__(self, parser: Any) -> None:
        self._parser, self._lenient, self._last = parser, False, b""

    def allows(self, data: bytes) -> bool:
        """Call before each piece of a head is parsed. Returns False for one with lines that are to be refused."""
        if not self._lenient and _has_control(data):
            self._set(True)
        if self._lenient and _LOOSE.search((self._last + data).partition(b"\r\n\r\n")[0]):
            return False
        self._last = data[-3:] if len(data) > 2 else (self._last + data)[-3:]
        return True

    def end(self) -> None:
        """The head is complete: what follows, another head too, is parsed strictly."""
        self._last = b""
        if self._lenient:
            self._set(False)

    def _set(self, lenient: bool) -> None:
        self._lenient = lenient
        self._parser.set_dangerous_leniencies(lenient_headers=lenient)


def head_fault(headers: Headers, http_version: str) -> CloseReason | None:
    """The rule that a head breaks, None if it breaks none.

    Args:
        headers: with lower-case names; those with control characters that nobody reads are removed.
        http_version: such as "1.1".
    """
    if _has_control(b"".join([value for _, value in headers])):
        odd = {name for name, value in headers if _has_control(value)}
        if odd & READ:
            return CloseReason.HEADER_CHARACTERS
        headers[:] = [header for header in headers if header[0] not in odd]
    named = dict(headers)
    if len(named) != len(headers) and _repeats(headers):
        return CloseReason.HEADER_REPEATED
    coding = named.get(b"transfer-encoding")
    if coding is not None and (coding.strip().lower() != b"chunked" or http_version != "1.1"):
        return CloseReason.TRANSFER_CODING
    return None


def _has_control(data: bytes) -> bool:
    """Control characters but tab, CR and LF. A third of what a search for them costs, and every head pays it."""
    return bool(data.translate(None, _ORDINARY))


def _repeats(headers: Headers) -> bool:
    names = [name for name, _ in headers if name in ONCE]
    return len(names) != len(set(names))
