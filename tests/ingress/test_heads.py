"""Heads that two readers could take in two ways are refused; odd headers that nobody reads cost no webhook."""

from pathlib import Path
from urllib.parse import urlencode

import pytest

from app.ingress.http.request_head import READ
from app.provider.webhooks import signature
from tests.support.ingress_server import ACME, MESSAGE, PERSON, PUBLIC, SID, IngressServer, door, eventually
from tests.support.keyring import ACME_KEY
from tests.support.raw_ingress_client import cut, lines
from tests.support.wire import exchange, head

TARGET = f"/twilio/status?m={MESSAGE}&a=1"
FORM = [("MessageSid", SID), ("MessageStatus", "sent"), ("AccountSid", ACME), ("To", PERSON)]
BODY = urlencode(FORM).encode()
SIGNED = {
    "X-Twilio-Signature": signature("token-of-acme", PUBLIC + TARGET, FORM),
    "Content-Type": "application/x-www-form-urlencoded",
}
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
FORGED = b"X-Twilio-Signature: bm9uc2Vuc2U=\r\n"


def signed(more: bytes = b"", *, before: bytes = b"", chunked: bool = False, version: bytes = b"1.1") -> bytes:
    """A signed webhook with header lines before and after its own."""
    length = {} if chunked else {"Content-Length": str(len(BODY))}
    first, _, rest = head("POST", TARGET, SIGNED | length).replace(b"HTTP/1.1", b"HTTP/" + version).partition(b"\r\n")
    return first + b"\r\n" + before + rest.removesuffix(b"\r\n") + more + b"\r\n" + (CHUNKED if chunked else BODY)


async def answered(made: IngressServer, request: bytes) -> tuple[int, str]:
    """Status and title."""
    answer = await exchange(made.http.base_url, request)
    assert answer is not None
    return answer.status_code, "" if answer.status_code == 204 else answer.json()["title"]


CONTROLS = [bytes([n]) for n in (*range(9), 11, 12, *range(14, 32), 127)]


async def test_a_control_character_in_a_header_that_nobody_reads_refuses_no_webhook(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        for control in CONTROLS:
            assert await answered(made, signed(b"X-Amzn-Trace: a%cb\r\n" % control)) == (204, "")
        assert len(made.kafka.records) == len(CONTROLS) and cut(made) == {}


async def test_a_control_character_in_a_header_that_is_read_is_refused(tmp_path: Path) -> None:
    names = sorted(READ - {b"upgrade"})
    async with door(tmp_path) as made:
        for name in names:
            status, _ = await answered(made, signed(b"%s: a\x01b\r\n" % name))
            assert status == 400, name
        assert made.kafka.records == [] and sum(cut(made).values()) == len(names)


REPEATED = {
    "two signatures, the true one last": signed(before=FORGED),
    "two signatures, the true one first": signed(FORGED),
    "two hosts": signed(b"Host: evil.example.com\r\n"),
    "two content types": signed(b"Content-Type: application/json\r\n"),
    "two tokens": signed(b"I-Twilio-Idempotency-Token: a\r\nI-Twilio-Idempotency-Token: b\r\n"),
}


@pytest.mark.parametrize("what", REPEATED)
async def test_a_header_that_decides_may_stand_there_once(tmp_path: Path, what: str) -> None:
    async with door(tmp_path) as made:
        status, title = await answered(made, REPEATED[what])
        assert (status, title) == (400, "a header that may stand there once stands there twice")
        assert made.kafka.records == [] and cut(made) == {"header_repeated": 1}


async def test_headers_that_proxies_add_may_repeat(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        assert await answered(made, signed(b"X-Forwarded-For: a\r\nX-Forwarded-For: b\r\nVia: 1\r\nVia: 2\r\n")) == (
            204,
            "",
        )


CODINGS = {
    "gzip before": signed(b"Transfer-Encoding: gzip, chunked\r\n", chunked=True),
    "identity before": signed(b"Transfer-Encoding: identity, chunked\r\n", chunked=True),
    "HTTP/1.0": signed(b"Transfer-Encoding: chunked\r\n", chunked=True, version=b"1.0"),
}


@pytest.mark.parametrize("what", CODINGS)
async def test_no_other_transfer_coding_than_chunked_of_http_1_1_is_read(tmp_path: Path, what: str) -> None:
    async with door(tmp_path) as made:
        status, title = await answered(made, CODINGS[what])
        assert (status, title) == (400, "the transfer coding may be chunked alone, and in HTTP/1.1 only")
        assert made.kafka.records == [] and cut(made) == {"transfer_coding": 1}


async def test_a_chunked_body_of_http_1_1_is_read(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        assert await answered(made, signed(b"Transfer-Encoding: Chunked\r\n", chunked=True)) == (204, "")


FOLDED = b"Transfer-Encoding:\r\n chunked\r\n"
STRICT = {
    "a folded coding": signed(FOLDED, chunked=True),
    "a folded coding beside an odd header": signed(b"X-Odd: \x01\r\n" + FOLDED, chunked=True),
    "a folded length beside an odd header": signed(b"X-Odd: \x01\r\nX-Length:\r\n\t5\r\n"),
    "a coding with a control character": signed(b"Transfer-Encoding: chunked\x01\r\n", chunked=True),
    "a length with a control character": signed(b"Content-Length: 1\x01\r\n", chunked=True),
    "a line feed alone": signed(b"X-Odd: \x01\nX-More: 1\r\n"),
}


@pytest.mark.parametrize("what", STRICT)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_head_with_an_odd_header_is_framed_as_strictly_as_any_other(
    tmp_path: Path, what: str, at_once: bool
) -> None:
    request = STRICT[what]
    async with door(tmp_path) as made, lines(made) as [line]:
        await line.say(*([request] if at_once else [request[n : n + 1] for n in range(len(request))]))
        heard = await line.heard
        assert heard.startswith(b"HTTP/1.1 400") and heard.count(b"HTTP/1.1") == 1 and made.kafka.records == []


async def test_the_next_request_of_a_connection_is_read_strictly_again(tmp_path: Path) -> None:
    odd, folded = signed(b"X-Odd: \x01\r\n"), signed(b"X-Odd: a\r\n b\r\n")
    async with door(tmp_path) as made, lines(made) as [line]:
        await line.say(odd)
        await eventually(lambda: len(made.kafka.records) == 1)
        await line.say(folded)
        heard = await line.heard
        assert heard.startswith(b"HTTP/1.1 204") and cut(made) == {"no_http": 1} and len(made.kafka.records) == 1


async def test_what_follows_an_odd_head_is_a_body_like_any_other(tmp_path: Path) -> None:
    body = b'{\n "to": "+14155550123",\n\t"body": "Build 742 deployed."\n}'
    given = {"Authorization": f"Bearer {ACME_KEY}", "Content-Type": "application/json", "X-Odd": "\x01"}
    request = head("POST", "/v1/messages", {**given, "Content-Length": str(len(body))}) + body
    async with door(tmp_path) as made:
        for parts in ([request], [request[n : n + 1] for n in range(len(request))]):
            answer = await exchange(made.http.base_url, *parts)
            assert answer is not None and answer.status_code == 202
