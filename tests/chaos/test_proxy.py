"""The proxy, over real sockets: what passes, what waits, what breaks, and how."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ops.chaos.proxy import Proxy

WAIT_S = 5.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1000):
            writer.write(data.upper())
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def lines() -> AsyncIterator[Proxy]:
    """A server that shouts back, and a proxy before it."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(free_port(), server.sockets[0].getsockname()[1])
    await proxy.start()
    yield proxy
    await proxy.stop()
    server.close()


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def said(line: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: bytes) -> bytes:
    line[1].write(text)
    return await asyncio.wait_for(line[0].readexactly(len(text)), WAIT_S)


async def test_bytes_pass_both_ways():
    async with lines() as proxy:
        line = await connect(proxy)
        assert await said(line, b"hello") == b"HELLO"
        assert await said(line, b"x" * 300_000) == b"X" * 300_000
        assert proxy.connections == 1
        line[1].close()


async def test_a_delay_holds_each_way():
    async with lines() as proxy:
        line = await connect(proxy)
        proxy.delay_s = 0.2
        began = time.monotonic()
        assert await said(line, b"hello") == b"HELLO"
        assert 0.4 <= time.monotonic() - began < 2
        line[1].close()


async def test_cut_ends_what_is_open_and_refuses_what_is_new_until_it_listens_again():
    async with lines() as proxy:
        line = await connect(proxy)
        assert await said(line, b"hello") == b"HELLO"
        proxy.cut()
        assert await asyncio.wait_for(line[0].read(), WAIT_S) == b""
        with pytest.raises(ConnectionRefusedError):
            await connect(proxy)
        await proxy.start()
        again = await connect(proxy)
        assert await said(again, b"hello") == b"HELLO"
        again[1].close()


async def test_reset_is_told_to_the_client_as_a_reset():
    async with lines() as proxy:
        line = await connect(proxy)
        assert await said(line, b"hello") == b"HELLO"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(line[0].read(), WAIT_S)
        again = await connect(proxy)
        assert await said(again, b"hello") == b"HELLO"
        again[1].close()


async def test_half_open_keeps_connections_and_passes_nothing_until_it_is_free():
    async with lines() as proxy:
        line = await connect(proxy)
        assert await said(line, b"hello") == b"HELLO"
        proxy.hold()
        line[1].write(b"more")
        new = await connect(proxy)
        new[1].write(b"new")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line[0].read(4), 0.3)
        assert proxy.connections == 2
        proxy.free()
        assert await asyncio.wait_for(line[0].readexactly(4), WAIT_S) == b"MORE"
        assert await asyncio.wait_for(new[0].readexactly(3), WAIT_S) == b"NEW"
        line[1].close()
        new[1].close()


async def test_the_end_of_one_side_reaches_the_other():
    async with lines() as proxy:
        line = await connect(proxy)
        line[1].write(b"last")
        line[1].write_eof()
        assert await asyncio.wait_for(line[0].read(), WAIT_S) == b"LAST"


async def test_a_server_that_is_away_ends_the_connection():
    proxy = Proxy(free_port(), free_port())
    await proxy.start()
    line = await connect(proxy)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(line[0].read(), WAIT_S)
    await proxy.stop()


async def test_the_tap_sees_what_came_and_what_was_passed_on():
    seen: list[tuple[str, bytes]] = []

    class Tap:
        def up(self, data: bytes) -> None:
            seen.append(("up", data))

        def down(self, data: bytes) -> None:
            seen.append(("down", data))

    async with lines() as proxy:
        proxy._tap = Tap
        line = await connect(proxy)
        assert await said(line, b"hello") == b"HELLO"
        async with asyncio.timeout(WAIT_S):
            while len(seen) < 2:
                await asyncio.sleep(0.001)
        line[1].close()
    assert seen == [("up", b"hello"), ("down", b"HELLO")]
