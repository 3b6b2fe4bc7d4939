"""Answers: status, body, content type. Errors are RFC 9457, never text/plain, which Twilio would text to the person."""

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
Answer = tuple[int, bytes, bytes]

# What is left of the body is not waited for.
CLOSING = (408, 413)
NO_CONTENT: Answer = (204, b"", b"")
# The answer to nearly every request, ready-made.
_DONE = {"type": "http.response.start", "status": 204, "headers": []}
_NOTHING = {"type": "http.response.body", "body": b""}
EMPTY_TWIML: Answer = (200, b'<?xml version="1.0" encoding="UTF-8"?><Response/>', b"text/xml")


def problem(status: int, title: str, field: str = "", rule: str = "") -> Answer:
    """application/problem+json; `field` and `rule` say what of the request was wrong."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if rule:
        body |= {"detail": f"{field}: {rule}", "field": field, "rule": rule}
    return status, _encode(body), b"application/problem+json"


def twiml(text: str) -> Answer:
    """A TwiML answer with one reply."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = f'<?xml version="1.0" encoding="UTF-8"?><Response><Message>{escaped}</Message></Response>'
    return 200, body.encode(), b"text/xml"


async def send_answer(send: Any, answer: Answer, *, closing: bool = False) -> None:
    """Always with a Content-Length: Twilio refuses a chunked answer without a body (error 11770)."""
    status, body, kind = answer
    if answer is NO_CONTENT:
        await send(_DONE)
        await send(_NOTHING)
        return
    headers = [(b"content-length", str(len(body)).encode())] if status != 204 else []
    if kind:
        headers.append((b"content-type", kind))
    if status == 405:
        headers.append((b"allow", b"POST"))
    if closing or status in CLOSING:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
