"""Requests ahead of their answers, bodies that nobody wants, answers that nobody reads: bounded in bytes and time."""

import asyncio
from pathlib import Path

import pytest

from tests.support.ingress_server import door, eventually
from tests.support.keyring import ACME_KEY
from tests.support.raw_ingress_client import cut, lines
from tests.support.wire import head

CREATE = {"Authorization": f"Bearer {ACME_KEY}", "Content-Type": "application/json"}
SIGNED = {"X-Twilio-Signature": "bm9uc2Vuc2U=", "Content-Type": "application/x-www-form-urlencoded"}
# One read of the loop's, and what is made of a piece of it.
MOST = 1 << 20


async def test_many_requests_at_once_on_one_connection_are_all_answered(tmp_path: Path) -> None:
    one = head("GET", "/nothing", {"X-Long": "x" * 900})
    async with door(tmp_path) as made, lines(made) as [line]:
        await line.say(one * 200, head("GET", "/last", {"Connection": "close"}))
        heard = await line.heard
        assert heard.count(b"HTTP/1.1 404") == 201 and cut(made) == {}


GET = head("GET", "/nothing", {})
# An app that asks for its body makes uvicorn read on.
POST = head("POST", "/twilio/status", {**SIGNED, "Content-Length": "3"}) + b"a=b"


@pytest.mark.parametrize(("one", "count"), [(GET, 20_000), (POST, 5_000)])
async def test_requests_sent_ahead_of_their_answers_wait_as_they_came_and_few_are_read(
    tmp_path: Path, one: bytes, count: int
) -> None:
    """Whoever sends faster than we answer makes us keep no more than the network already does."""
    most = 0
    async with door(tmp_path) as made, lines(made) as [line]:
        said = asyncio.ensure_future(line.say(one * count, head("GET", "/last", {"Connection": "close"})))
        while not line.heard.done():
            for connection in made.ingress.connections.open:
                most = max(most, len(connection.pipeline) * 2500 + len(connection._ahead))
            await asyncio.sleep(0)
        await said
        assert (await line.heard).count(b"HTTP/1.1 40") == count + 1 and cut(made) == {}
    assert 0 < most < MOST


async def test_answers_that_nobody_reads_end_their_connection(tmp_path: Path) -> None:
    async with door(tmp_path, body_s=0.4) as made:
        where = made.http.base_url
        reader, writer = await asyncio.open_connection(where.host, where.port, limit=1)
        try:
            while not cut(made):
                writer.write(POST * 100)
                async with asyncio.timeout(10):
                    await asyncio.wait([asyncio.ensure_future(writer.drain())], timeout=0.05)
                assert all(len(connection._ahead) < MOST for connection in made.ingress.connections.open)
        except ConnectionError:
            pass  # it was ended
        assert cut(made) == {"answers_unread": 1}
        writer.close()
        assert not reader.at_eof()


async def test_a_body_that_comes_after_its_answer_leaves_no_connection_without_a_time(tmp_path: Path) -> None:
    async with door(tmp_path, head_s=0.5) as made, lines(made) as [line]:
        await line.say(head("POST", "/twilio/status", {"Content-Length": "1"}))
        await eventually(lambda: made.ingress.webhooks.answered["status", 403])
        await line.say(b"x")
        assert (await line.heard).startswith(b"HTTP/1.1 403") and cut(made) == {"silent": 1}


async def test_a_body_that_nobody_wants_is_not_swallowed(tmp_path: Path) -> None:
    for path, headers in (("/twilio/status", {}), ("/v1/messages", {"Authorization": "Bearer wrong"})):
        async with door(tmp_path) as made, lines(made) as [line]:
            await line.say(head("POST", path, {**headers, "Content-Length": "9999999999"}))
            heard = await asyncio.wait_for(line.drip(b"x" * 65_536), 10)
            assert int(heard[9:12]) in (401, 403) and cut(made) == {"body_unwanted": 1}


async def test_no_answer_is_put_before_that_of_an_earlier_request(tmp_path: Path) -> None:
    bad = head("POST", "/v1/messages", {**CREATE, "Transfer-Encoding": "chunked"}) + b"zz\r\n"
    async with door(tmp_path) as made, lines(made) as [line]:
        await line.say(head("GET", "/nothing", {}) + bad)
        assert b"HTTP/1.1 400" not in await line.heard
        assert cut(made) == {"no_http": 1}
