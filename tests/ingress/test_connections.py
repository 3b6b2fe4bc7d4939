"""What comes before a request is one: heads too long or too slow, silence, noise; each ends its connection and no other."""

import asyncio
import json
import logging
from pathlib import Path
from urllib.parse import urlencode

import pytest

from app.ingress.http.connection_close import CloseReason
from app.ingress.http.connections import MOST_BYTES
from app.provider.webhook_forms import MAX_QUERY_BYTES
from app.provider.webhooks import signature
from tests.support.ingress_server import ACME, MESSAGE, PERSON, PUBLIC, SID, door, eventually
from tests.support.keyring import ACME_KEY
from tests.support.raw_ingress_client import cut, lines, status
from tests.support.wire import exchange, head

MEGABYTE = 1 << 20
HOST = b"POST /twilio/status HTTP/1.1\r\nHost: hooks.example.com\r\n"
UNSIGNED = head("POST", "/twilio/status", {"Transfer-Encoding": "chunked"})
CREATE = {"Authorization": f"Bearer {ACME_KEY}", "Content-Type": "application/json"}
LONG = {
    "a megabyte of headers": HOST + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(MEGABYTE // 1000)),
    "one header of a megabyte": HOST + b"X-Long: " + b"x" * MEGABYTE,
    "one name of a megabyte": HOST + b"x" * MEGABYTE,
    "a URL of a megabyte": b"GET /" + b"x" * MEGABYTE,
    "a head that is whole, and too long": HOST + b"X-Long: " + b"x" * (2 * MOST_BYTES) + b"\r\n\r\n",
}
# Past the end of the head: the first answer is given by the app, which is still reading, or by nobody.
FRAMING = {
    "a megabyte of trailers": b"0\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(MEGABYTE // 1000)),
    "one trailer of a megabyte": b"0\r\nX-Long: " + b"x" * MEGABYTE,
    "a megabyte of chunk extension": b"5;" + b"x" * MEGABYTE,
}


@pytest.mark.parametrize("name", LONG)
async def test_a_head_without_bounds_is_431_and_the_end_of_its_connection(tmp_path: Path, name: str) -> None:
    async with door(tmp_path) as made, lines(made) as [line]:
        await line.say(LONG[name])
        assert status(await line.heard) == 431
        assert cut(made) == {"head_too_long": 1}
        assert (await made.report()).status_code == 204


@pytest.mark.parametrize("name", FRAMING)
async def test_what_frames_a_body_is_bounded_as_heads_are_though_the_body_is_not_read(
    tmp_path: Path, name: str
) -> None:
    async with door(tmp_path) as made, lines(made) as [line]:
        await line.say(UNSIGNED, FRAMING[name])
        await line.heard
        assert cut(made) == {"framing_too_long": 1}
        await eventually(lambda: len(made.ingress.connections.open) == 0)


@pytest.mark.parametrize("name", FRAMING)
async def test_an_app_that_reads_such_a_body_is_told_to_end_and_the_client_why(tmp_path: Path, name: str) -> None:
    async with door(tmp_path) as made, lines(made) as [line]:
        await line.say(head("POST", "/v1/messages", {**CREATE, "Transfer-Encoding": "chunked"}), FRAMING[name])
        assert status(await line.heard) == 431
        await eventually(lambda: made.ingress.messages.answered["messages", 400] == 1)
        assert cut(made) == {"framing_too_long": 1} and made.kafka.records == []


SLOW = {
    "a path byte by byte": (b"POST /", b"x"),
    "headers one by one": (HOST, b"X-More: yes\r\n"),
    "one header byte by byte": (HOST + b"X-Long: ", b"x"),
    "the second head of a connection": (head("GET", "/", {}) + HOST, b"X-More: yes\r\n"),
}


@pytest.mark.parametrize("name", SLOW)
async def test_a_head_that_never_ends_is_408_once_its_time_is_over(tmp_path: Path, name: str) -> None:
    begin, part = SLOW[name]
    async with door(tmp_path, head_s=0.3) as made, lines(made) as [line]:
        await line.say(begin)
        assert status(await line.drip(part)) == 408
        assert cut(made) == {"head_too_slow": 1}


async def test_a_connection_that_says_nothing_is_closed_without_a_word(tmp_path: Path) -> None:
    async with door(tmp_path, head_s=0.2) as made, lines(made, 20) as silent:
        assert await asyncio.gather(*(line.heard for line in silent)) == [b""] * 20
        assert cut(made) == {"silent": 20} and not made.ingress.connections.open


async def test_blank_lines_for_ever_are_a_head_that_never_ends(tmp_path: Path) -> None:
    async with door(tmp_path, head_s=0.2) as made, lines(made, 2) as [fresh, used]:
        await used.say(head("GET", "/", {}))
        heard = await asyncio.gather(fresh.drip(b"\r\n"), used.drip(b"\r\n"))
        assert [status(one) for one in heard] == [408, 408]


async def test_a_head_that_comes_in_time_is_taken_however_it_is_cut_up(tmp_path: Path) -> None:
    form = [("MessageSid", SID), ("MessageStatus", "sent"), ("AccountSid", ACME), ("To", PERSON)]
    target = f"/twilio/status?m={MESSAGE}&a=1&x=" + "x" * (MAX_QUERY_BYTES - 100)
    body = urlencode(form).encode()
    headers = {
        "X-Twilio-Signature": signature("token-of-acme", PUBLIC + target, form),
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
        "X-Long": "x" * (MOST_BYTES - MAX_QUERY_BYTES - 1000),
        "Connection": "close",
    }
    whole = head("POST", target, headers) + body
    parts = [whole[at : at + 997] for at in range(0, len(whole), 997)]
    async with door(tmp_path) as made, lines(made, 2) as [cut_up, at_once]:
        await asyncio.gather(cut_up.say(*parts), at_once.say(whole))
        for line in (cut_up, at_once):
            assert (await line.heard).startswith(b"HTTP/1.1 204")
        assert cut(made) == {} and len(made.kafka.records) == 2


async def test_an_upgrade_is_refused_by_name(tmp_path: Path) -> None:
    upgrade = {**CREATE, "Connection": "Upgrade", "Upgrade": "h2c", "Content-Length": "2"}
    async with door(tmp_path) as made:
        answer = await exchange(made.http.base_url, head("POST", "/v1/messages", upgrade) + b"{}")
        assert answer is not None and answer.status_code == 400 and "without Upgrade" in answer.json()["title"]
        assert cut(made) == {"upgrade": 1}


async def test_a_body_in_the_smallest_chunks_is_read_as_any_other(tmp_path: Path) -> None:
    body = b" " * 60_000 + json.dumps({"to": PERSON, "body": "Build 742 deployed."}).encode()
    chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    async with door(tmp_path) as made:
        answer = await exchange(
            made.http.base_url, head("POST", "/v1/messages", {**CREATE, "Transfer-Encoding": "chunked"}), chunked
        )
        assert answer is not None and (answer.status_code, cut(made)) == (202, {})


async def test_a_refused_request_whose_body_drips_on_holds_its_connection_no_longer_than_a_body_may(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, body_s=0.3) as made, lines(made) as [line]:
        await line.say(head("POST", "/twilio/status", {"Content-Length": "999999999"}))
        assert (await line.drip(b"x")).startswith(b"HTTP/1.1 403")
        assert cut(made) == {"body_too_slow": 1}


async def test_a_slow_body_of_a_request_is_408_by_name_and_one_that_breaks_off_is_no_fault_of_ours(
    tmp_path: Path,
) -> None:
    slow = head("POST", "/v1/messages", {**CREATE, "Content-Length": "1000"}) + b'{"to":'
    async with door(tmp_path, body_s=0.3) as made:
        answer = await exchange(made.http.base_url, slow)
        assert answer is not None and (answer.status_code, answer.json()["title"]) == (
            408,
            "the body took longer than 0.3 s",
        )
        answered = made.ingress.messages.answered
        reader, writer = await asyncio.open_connection(made.http.base_url.host, made.http.base_url.port)
        writer.write(slow)
        writer.write_eof()
        writer.close()
        assert await reader.read() == b""
        await eventually(lambda: answered["messages", 400] == 1)
        assert answered["messages", 500] == 0


async def test_a_webhook_that_breaks_off_is_answered_by_nobody_and_counted_as_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signed = {"X-Twilio-Signature": "bm9uc2Vuc2U=", "Content-Type": "application/x-www-form-urlencoded"}
    async with door(tmp_path) as made, lines(made) as [line]:
        await line.say(head("POST", "/twilio/status", {**signed, "Content-Length": "100"}) + b"MessageSid=")
        await eventually(lambda: made.ingress.connections.open)
        line.close()
        assert await line.heard == b""
        await eventually(lambda: not made.ingress.connections.open)
        assert not made.ingress.webhooks.answered
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


NOISE = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200,
    "a path that is none": b"GET \xff\xfe HTTP/1.1\r\n\r\n",
    "two lengths": head("POST", "/twilio/status", {"Content-Length": "1", "content-length": "2"}),
    "a chunk without a length": UNSIGNED.replace(b"/twilio/status", b"/v1/messages") + b"zz\r\n",
}


@pytest.mark.parametrize("name", NOISE)
async def test_noise_is_400_and_never_plain_text(tmp_path: Path, name: str) -> None:
    async with door(tmp_path) as made, lines(made) as [line]:
        await line.say(NOISE[name])
        assert b"text/plain" not in (heard := await line.heard)
        assert name == "a chunk without a length" or status(heard) == 400
        assert cut(made) == {"no_http": 1}


async def test_whoever_does_not_hang_up_after_the_last_word_is_hung_up_on(tmp_path: Path) -> None:
    async with door(tmp_path, head_s=0.2) as made, lines(made) as [line]:
        await line.say(b"no HTTP\r\n\r\n")
        await line.drip(b"x")
        await eventually(lambda: not made.ingress.connections.open)
        assert cut(made) == {"no_http": 1}


async def test_many_slow_heads_leave_room_for_others_and_are_counted_by_reason(tmp_path: Path) -> None:
    async with door(tmp_path, head_s=1.0) as made, lines(made, 300, HOST) as slow:
        assert (await made.report()).status_code == 204
        assert {status(heard) for heard in await asyncio.gather(*(line.heard for line in slow))} == {408}
        page = (await made.http.get(f"{made.internal}/metrics")).text
    assert 'heliograph_ingress_cut_total{why="head_too_slow"} 300.0' in page
    assert all(f'heliograph_ingress_cut_total{{why="{why}"}}' in page for why in CloseReason)
