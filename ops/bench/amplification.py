"""What one request makes of its bytes: growth on the broker's disk by topic and changelog, once all is delivered.

Broker, simulator and one worker, no lane limit; each message is delivered, with four reports. Kinds: a text to one
person, a text to 1,000, and the most that a request may ask for (recipients times bytes of content).
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

sys.path.insert(0, str(Path(__file__).parent))
from fold import lag, outcomes, wait

from app.dev.broker import DevBroker, free_port
from app.dev.demo_data import number
from app.dev.dev_cluster import ClusterPlan, DevCluster
from app.records.requests import MAX_BODY, MAX_FAN_OUT_BYTES, MAX_RECIPIENTS, content_bytes, read_request, recipients_of

TEXT = "Your order A-17 leaves tomorrow between 8 and 12. Follow it: https://example.com/a17"
SETTLE_S = 600
# Of metadata a value has at most 500 bytes.
VALUE = 480
# The idempotency key counts as content.
KEY = 20


def largest() -> dict[str, Any]:
    """Body and metadata that reach the limit of recipients times bytes."""
    content = MAX_FAN_OUT_BYTES // MAX_RECIPIENTS - KEY
    left, metadata = content - MAX_BODY, dict[str, str]()
    while left > 0:
        name = f"m{len(metadata):02d}"
        metadata[name] = "x" * min(VALUE, left - len(name))
        left -= len(name) + len(metadata[name])
    return {"body": "x" * MAX_BODY, "metadata": metadata}


KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "one": (1, {"body": TEXT}),
    "campaign": (MAX_RECIPIENTS, {"body": TEXT, "campaign": "spring", "metadata": {"order": "A-17"}}),
    "largest": (MAX_RECIPIENTS, largest()),
}


def request(kind: str, first: int) -> bytes:
    recipients, fields = KINDS[kind]
    to = [number(first + n) for n in range(recipients)]
    return orjson.dumps({"type": "notify.requested.v1", "idempotency_key": f"bench-{first}", "to": to, **fields})


class Bench:
    """One stand with a broker of its own, whose directory is looked at. `prefix`: of its topics."""

    def __init__(self, servers: str, data: Path, prefix: str) -> None:
        self._servers, self._data, self._prefix, self._sent = servers, data, prefix, 0

    async def kinds(self) -> dict[str, Any]:
        await self._take("one")  # not measured: the first of all brings what a worker writes once
        return {kind: await self._measured(kind) for kind in KINDS}

    async def _measured(self, kind: str) -> dict[str, Any]:
        before = self._sizes()
        value = await self._take(kind)
        grown = self._sizes() - before
        asked = read_request(value)
        recipients, total = len(recipients_of(asked)), sum(grown.values())
        content = recipients * content_bytes(asked)
        return {
            "recipients": recipients,
            "bytes_in": len(value),
            "content_times_recipients": content,
            "bytes_grown": total,
            "factor": round(total / len(value), 1),
            "per_message": round(total / recipients),
            "factor_of_content": round(total / content, 1),
            "topics": dict(grown.most_common()),
        }

    async def _take(self, kind: str) -> bytes:
        """Send one, until nothing of it is under way."""
        value, self._sent = request(kind, self._sent), self._sent + KINDS[kind][0]
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, acks="all", max_request_size=1 << 21)
        await producer.start()
        await producer.send_and_wait(f"{self._prefix}notify.requests.default", value)
        await producer.stop()
        await asyncio.to_thread(wait, self._settled, SETTLE_S)
        return value

    def _settled(self) -> bool:
        group, sources = f"{self._prefix}heliograph", ("contacts", "lanes", "notify.updates", "bulk")
        done = outcomes(self._servers, f"{self._prefix}notify.outcomes") >= self._sent
        return done and not any(lag(self._servers, group, self._prefix + topic) for topic in sources)

    def _sizes(self) -> Counter[str]:
        """Bytes of the segments of each topic."""
        return Counter({topic: size for topic, size in self._summed() if size})

    def _summed(self) -> Iterator[tuple[str, int]]:
        sizes = Counter[str]()
        for segment in self._data.rglob("*.log"):
            topic = segment.parent.name.rpartition("-")[0]
            if topic.startswith(self._prefix):
                sizes[topic.removeprefix(self._prefix)] += segment.stat().st_size
        yield from sizes.items()


def run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        directory = Path(folder)
        broker, prefix = DevBroker(free_port(), directory / "kafka"), f"bench{int(time.time())}."
        extra = {"HELIOGRAPH_RATE": "0", "HELIOGRAPH_BULK_RATE": "0"}
        mix = ["--mix", '{"delivered": 1.0}', "--step-ms", "20"]
        servers = broker.start()
        plan = ClusterPlan(directory=directory, kafka=servers, prefix=prefix, bridge=False, extra=extra, simulator=mix)
        stand = DevCluster(plan, os.environ)
        try:
            stand.start()
            return asyncio.run(Bench(servers, directory / "kafka", prefix).kinds())
        finally:
            stand.stop()
            broker.stop()


def table(kinds: dict[str, Any]) -> str:
    """A column for each kind, a line for each figure and each topic."""
    names = [name for name in next(iter(kinds.values())) if name != "topics"]
    lines = [f"{'':28}" + "".join(f"{kind:>14}" for kind in kinds)]
    lines += [f"{name:28}" + "".join(f"{one[name]:>14,}" for one in kinds.values()) for name in names]
    for topic in sorted({topic for one in kinds.values() for topic in one["topics"]}):
        lines.append(f"{topic:28}" + "".join(f"{one['topics'].get(topic, 0):>14,}" for one in kinds.values()))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = run()
    print(json.dumps(result) if given.json else table(result))


if __name__ == "__main__":
    main()
