"""The steady part of `ops/bench/ingress`: signed callbacks at 300 a second, and what goes on beside them."""

import asyncio
import os
import re
import signal
import statistics
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager, nullcontext

from app.dev.broker import DevBroker

# 64 connections that each pause 12 ms after an answer: 5,000 requests a second, if the answers take next to nothing.
UNSIGNED = """
wrk.method, wrk.body = "POST", "MessageSid=SM00000000000000000000000000000001&MessageStatus=delivered"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
function delay() return 11 end
"""


class Steady:
    """Requests at a steady rate, whatever the answers take: none waits for another. Times in ms, statuses counted."""

    def __init__(self, url: str, requests: list[bytes], connections: int = 64) -> None:
        self._host, _, self._port = url.removeprefix("http://").partition(":")
        self._requests, self._free, self._size = requests, asyncio.Queue(), connections
        self.took_ms: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def run(self, per_s: float, seconds: float) -> None:
        for _ in range(self._size):
            self._free.put_nowait(await asyncio.open_connection(self._host, int(self._port)))
        tasks, start = [], time.perf_counter()
        for n in range(int(per_s * seconds)):
            due = start + n / per_s
            if (wait := due - time.perf_counter()) > 0.001:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self._one(due, self._requests[n % len(self._requests)])))
        await asyncio.gather(*tasks)
        while not self._free.empty():
            self._free.get_nowait()[1].close()

    async def _one(self, due: float, request: bytes) -> None:
        reader, writer = connection = await self._free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if length := re.search(rb"content-length: (\d+)", head):
            await reader.readexactly(int(length[1]))
        self.took_ms.append((time.perf_counter() - due) * 1000)
        self.statuses[int(head[9:12])] += 1
        self._free.put_nowait(connection)

    def told(self) -> dict:
        cuts = statistics.quantiles(self.took_ms, n=100)
        return {
            "p50_ms": round(cuts[49], 1),
            "p95_ms": round(cuts[94], 1),
            "p99_ms": round(cuts[98], 1),
            "answers": dict(self.statuses),
        }


def posted(call: tuple[str, str, str]) -> bytes:
    target, sent, body = call
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return f"{head}X-Twilio-Signature: {sent}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@contextmanager
def flooded(bench, url: str, seconds: float, found: dict):
    """At least 5,000 unsigned requests a second meanwhile; what wrk says of them is put into `found`."""
    script = bench.directory / "unsigned.lua"
    script.write_text(UNSIGNED)
    command = ["wrk", "-t1", "-c64", f"-d{seconds:g}s", "-s", str(script), f"{url}/twilio/status"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as wrk:
        yield
        said = wrk.communicate()[0]
    count = int(re.search(r"(\d+) requests in", said)[1])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    assert refused and int(refused[1]) == count, said
    found["unsigned_per_s"] = round(float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]))


@contextmanager
def rebalancing(bench, seconds: float, found: dict):
    """A worker owns everything; a second one joins after a quarter of the time and leaves after three."""
    one, other = bench.worker(1), bench.worker(2)
    one.start()
    one.wait()
    rebalances = []

    def join() -> None:
        time.sleep(seconds / 4)
        other.start()
        other.wait()
        rebalances.append("joined")
        time.sleep(seconds / 4)
        other.stop()
        rebalances.append("left")

    thread = threading.Thread(target=join)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        one.stop()
    found["rebalances"] = rebalances


@contextmanager
def paused(broker: DevBroker, found: dict):
    """Kafka does not run."""
    os.kill(broker.running(), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.running(), signal.SIGCONT)


def steady(bench, broker: DevBroker | None, seconds: float) -> dict:
    """Signed callbacks at 300 a second: alone, and beside each of the above."""
    signed, told = [posted(call) for call in bench.calls], {}
    with bench.running("ingress") as (url, _):
        beside = {
            "alone": lambda found: nullcontext(),
            "beside_unsigned": lambda found: flooded(bench, url, seconds, found),
            "rebalance": lambda found: rebalancing(bench, seconds, found),
        }
        if broker:
            beside["kafka_paused"] = lambda found: paused(broker, found)
        for name, around in beside.items():
            load, found = Steady(url, signed), {}
            with around(found):
                asyncio.run(load.run(300, seconds))
            told[name] = load.told() | found
    return told
