"""The spool: two ingress processes take signed webhooks at a steady rate, and Kafka is away for a part of the time.

Nine of ten are status callbacks, the others STOPs and STARTs of a few people; any may go to either process. Kafka
stands behind a proxy that holds every byte (`--how hold`) or closes all connections (`cut`), or is stopped (`stop`).
Afterwards the contact log is read. Lost: answered 2xx and not on it. Out of order: records of one contact that one
process took stand there, repeats apart, in another order than they were received. Consent: the fold of what people said
against the last word received. Exit code 1 if one of the three is not 0.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

sys.path.insert(0, str(Path(__file__).parent))
from answered import Asked, key_of, lost, out_of_order, spread, wrong_consent
from fold import peak_mb, table

from app.dev import process_env
from app.dev.dev_cluster import apply_topics
from app.dev.process import ChildProcess
from app.domain.model.inputs import Input
from app.simulator.signature import sign
from ops.chaos.broker import ProxiedBroker, quiet_ports
from ops.chaos.proxy import Proxy

PUBLIC = "https://hooks.example.com/twilio"
CONTACTS, PEOPLE, TEXT_SHARE = 100, 12, 0.1
DOORS, PARTITIONS = 2, 8
EMPTY_WITHIN_S = 120.0
# Into the absence, before memory is looked at: the first records of it make buffers and load code.
SETTLED_S = 5.0
decode_input = msgspec.json.Decoder(Input).decode
FORM = "application/x-www-form-urlencoded"


class Bench:
    """Broker, proxy, two ingress processes. Use inside one event loop."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.rng = directory, random.Random(seed)
        port, way, told = quiet_ports(3, self.rng)
        self.broker = ProxiedBroker(port, directory / "kafka", {"WAYDOOR": (way, told)})
        self.proxy = Proxy(told, way)
        self.parts: list[ChildProcess] = []
        self.asked: list[Asked] = []
        self._open: set[asyncio.Task[None]] = set()

    def environment(self, kafka: int) -> dict[str, str]:
        """Of the ingress: both keep their spool in one directory."""
        return {
            **process_env.bare(os.environ),
            **process_env.simulated(1, 1),
            **process_env.keys(self.directory / "keys.json", {}),
            "TWILIO_STATUS_CALLBACK_URL": f"{PUBLIC}/status",
            "TWILIO_INBOUND_WEBHOOK_PUBLIC_URL": f"{PUBLIC}/inbound",
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka}",
            "HELIOGRAPH_SPOOL_DIR": str(self.directory / "spool"),
        }

    async def start(self) -> None:
        """All up and ready."""
        await asyncio.to_thread(self.broker.start)
        await self.proxy.start()
        await apply_topics(self.environment(self.broker.port))
        for n in range(DOORS):
            arguments = ["ingress", "--port", "0", "--internal-port", "0"]
            log = self.directory / f"ingress-{n + 1}.log"
            self.parts.append(ChildProcess(f"ingress-{n + 1}", arguments, self.environment(self.proxy.port), log))
            self.parts[n].start()
        for part in self.parts:
            await asyncio.to_thread(part.wait)
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def stop(self) -> None:
        """All down."""
        if hasattr(self, "http"):
            await self.http.close()
        self.proxy.free()
        for part in self.parts:
            await asyncio.to_thread(part.stop)
        await self.proxy.stop()
        await asyncio.to_thread(self.broker.stop)

    async def away(self, how: str, seconds: float) -> None:
        """Kafka is out of reach for so long."""
        if how == "hold":
            self.proxy.hold()
        elif how == "cut":
            self.proxy.cut()
        else:
            self.broker.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        if how == "stop":
            self.broker.signal(signal.SIGCONT)
        self.proxy.free()
        await self.proxy.start()

    async def load(self, rate: float, seconds: float) -> None:
        """So many webhooks a second, whatever becomes of them; returns when the last is answered."""
        began = time.perf_counter()
        for n in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
            task = asyncio.ensure_future(self._ask(n))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        await asyncio.gather(*self._open)

    async def _ask(self, n: int) -> None:
        path, fields, key = self._text(n) if self.rng.random() < TEXT_SHARE else self._report(n)
        fields["AccountSid"] = process_env.ACCOUNT
        headers = {"X-Twilio-Signature": sign(process_env.TOKEN, PUBLIC + path, fields), "Content-Type": FORM}
        asked = Asked(key, self.rng.randrange(DOORS), time.perf_counter())
        url = f"{self.parts[asked.door].ready['ingress']}/twilio{path}"
        self.asked.append(asked)
        try:
            async with self.http.post(url, data=urlencode(fields).encode(), headers=headers) as answer:
                await answer.read()
                asked.status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            pass  # no answer, nothing was promised: status 0
        asked.took = time.perf_counter() - asked.at

    def _report(self, n: int) -> tuple[str, dict[str, str], str]:
        message = f"{self.rng.randrange(CONTACTS):020x}-{n:020x}"
        return f"/status?m={message}&a=1", {"MessageSid": f"SM{n:032x}", "MessageStatus": "sent"}, message

    def _text(self, n: int) -> tuple[str, dict[str, str], str]:
        sid, person = f"SM{n:032x}", f"+121255501{self.rng.randrange(PEOPLE):02}"
        word = self.rng.choice(("STOP", "START"))
        return "/inbound", {"MessageSid": sid, "From": person, "To": "+15005550006", "Body": word}, sid

    async def emptied(self) -> float:
        """Seconds until no process has anything in its spool and all give their records to Kafka."""
        began = time.perf_counter()
        while time.perf_counter() - began < EMPTY_WITHIN_S:
            if not any([await self._waits(part) for part in self.parts]):
                return time.perf_counter() - began
            await asyncio.sleep(0.05)
        return float("inf")

    async def _waits(self, part: ChildProcess) -> bool:
        async with self.http.get(f"{part.ready['internal']}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        names = ("heliograph_ingress_kafka_away ", "heliograph_ingress_spool_bytes ")
        return any(float(line.split()[-1]) > 0 for line in lines if line.startswith(names))

    async def read(self) -> list[tuple[str, Input]]:
        """The contact log: contact and input, the records of each contact in order."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.address, enable_auto_commit=False)
        await consumer.start()
        places = [TopicPartition("contacts", n) for n in range(PARTITIONS)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends, found = await consumer.end_offsets(places), list[tuple[str, Input]]()
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [(record.key.decode(), decode_input(record.value)) for record in records]
        await consumer.stop()
        return found


async def run(given: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        bench = Bench(Path(folder), given.seed)
        try:
            await bench.start()
            return await measure(bench, given)
        finally:
            await bench.stop()


async def measure(bench: Bench, given: argparse.Namespace) -> dict:
    load = asyncio.ensure_future(bench.load(given.rate, given.seconds))
    await asyncio.sleep((given.seconds - given.away_seconds) / 2)
    went = time.perf_counter()
    memory = asyncio.ensure_future(watched(bench, given.away_seconds))
    await bench.away(given.how, given.away_seconds)
    came = time.perf_counter()
    empty = await bench.emptied()
    await load
    await bench.emptied()
    rss, log = await memory, await bench.read()
    during = [one for one in bench.asked if went <= one.at < came]
    return {
        "webhooks": len(bench.asked),
        "per_second": given.rate,
        "away_seconds": given.away_seconds,
        "how": given.how,
        "answers_ms_away": spread(during),
        "answers_ms_else": spread(one for one in bench.asked if not went <= one.at < came),
        "refused": sum(not 200 <= one.status < 300 for one in bench.asked),
        "lost": lost(bench.asked, log),
        "repeats": len(log) - len({key_of(one) for _, one in log}),
        "out_of_order": out_of_order(bench.asked, log),
        "wrong_consent": wrong_consent(log),
        "empty_after_s": round(empty, 2),
        "rss_mb_away": rss,
        "peak_mb": [peak_mb(part.pid) for part in bench.parts],
    }


async def watched(bench: Bench, seconds: float) -> list[list[float]]:
    """MB of each process some seconds into the absence, and at its end."""
    settled = min(SETTLED_S, seconds / 2)
    await asyncio.sleep(settled)
    first = [rss_mb(part.pid) for part in bench.parts]
    await asyncio.sleep(seconds - settled - 0.5)
    return [list(pair) for pair in zip(first, [rss_mb(part.pid) for part in bench.parts], strict=True)]


def rss_mb(pid: int) -> float:
    line = next(row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="webhooks a second")
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--away-seconds", type=float, default=60.0, help="of them without Kafka, in the middle")
    parser.add_argument("--how", choices=("hold", "cut", "stop"), default="hold")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = asyncio.run(run(given))
    print(json.dumps(result) if given.json else table(result))
    sys.exit(1 if result["lost"] or result["out_of_order"] or result["wrong_consent"] else 0)


if __name__ == "__main__":
    main()
