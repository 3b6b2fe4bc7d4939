"""Poison on `notify.requests`, part two: what is legal and too much, for a contact's row, for memory, for the pace."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ops.chaos.ground import Ground
from ops.chaos.identity import TENANT, contact_id, message_id
from ops.chaos.poison_producer import Poison, PoisonProducer, Requests
from ops.chaos.promises import Promise
from ops.chaos.stand import PARTITIONS
from ops.chaos.tenants_file import SLOW_LANE


class PoisonOversized:
    """More for one contact than its row may hold: requests with much metadata, and cancels of messages that are not.

    All but a few requests are for later and are canceled at once, so that few texts are sent with a row of this size.
    """

    lasts_s = 0.0
    # 150 times 15.6 kB are 2.3 MB; a row may have 2 MB, and opens no message beyond 1.5 MB.
    REQUESTS, ENTRIES, ENTRY_BYTES = 150, 39, 400
    SENT, INVENTED = 5, 2_000

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        requests, key = Requests(ground, "oversized"), ground.stand.settings().pseudonym_key
        [full, canceled] = requests.people(2)
        events = [self._event(requests, full, later=n >= self.SENT) for n in range(self.REQUESTS)]
        contact = contact_id(key, TENANT, full)
        # One record key: a request and its cancel are on one partition, in this order.
        producer = PoisonProducer(ground, "poison_oversized")
        await producer.produce(
            requests.record(event, promise=Promise.OUTCOME, record_key=contact.encode()) for event in events
        )
        for event in events[self.SENT :]:
            message = message_id(key, TENANT, event["idempotency_key"], contact)
            ground.diary.note("canceling", message_id=message)
            value = self._cancel(message)
            producer.put(Poison(value, Promise.ANSWERED, record_key=contact.encode()))
        await asyncio.to_thread(producer.flush)
        producer.acknowledged.clear()  # what a cancel leads to is told by the outcome of its message
        await producer.produce(self._invented(ground, contact_id(key, TENANT, canceled)))

    def _event(self, requests: Requests, to: str, *, later: bool) -> dict[str, Any]:
        metadata = {f"entry{n}": "x" * self.ENTRY_BYTES for n in range(self.ENTRIES)}
        start = {"send_at": datetime.fromtimestamp(time.time() + 20, UTC).isoformat()} if later else {}
        return requests.event(to=to, metadata=metadata, **start)

    def _cancel(self, message: str) -> bytes:
        return orjson.dumps({"type": "notify.canceled.v1", "message_id": message})

    def _invented(self, ground: Ground, contact: str) -> Iterator[Poison]:
        for _ in range(self.INVENTED):
            message = f"{contact}-{ground.rng.randbytes(10).hex()}"
            yield Poison(self._cancel(message), Promise.CANCELED, message)

    async def undo(self, ground: Ground) -> None:
        """It stays on the log."""


class PoisonInflation:
    """Batches of a few kB with one record of 100 MB, and records of 3.5 MB; no worker may take the memory for them."""

    lasts_s = 4.0
    SIZES = (100 << 20, 3_500_000)
    # A worker inflates 32 MB of a partition at most; it holds partitions of two workers if the other one is down.
    MOST_MB = 160

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        self._before = {name: _measured(part.pid) for name, part in ground.stand.parts.items() if part.dead() is None}
        for codec in ("gzip", "zstd"):
            settings = {"compression.type": codec, "message.max.bytes": 200_000_000, "linger.ms": 0}
            producer = PoisonProducer(ground, "poison_inflation", **settings)
            for size in self.SIZES:
                start = b'{"type":"notify.requested.v1","to":"+1","body":"'
                await producer.produce([Poison(start.ljust(size, b" "), Promise.DEAD_LETTER)])

    async def undo(self, ground: Ground) -> None:
        """How much the workers have grown meanwhile."""
        for name, (pid, before_mb) in self._before.items():
            part = ground.stand.parts.get(name)
            if name.startswith("worker") and part is not None and part.pid == pid and part.dead() is None:
                grown_mb = _status_mb(pid, "VmHWM") - before_mb
                ground.diary.note("grown", part=name, megabytes=grown_mb)
                if grown_mb > self.MOST_MB:
                    ground.problems.append(f"{name} took {grown_mb} MB to read records of a few kB")


class PoisonCampaign:
    """Requests of many recipients, and ordinary ones right behind them on the same partition, which must not wait."""

    lasts_s = 0.0
    CAMPAIGNS, BEHIND = 3, 5

    async def do(self, ground: Ground) -> None:
        """See `Fault`."""
        slow, ordinary = Requests(ground, "campaign", lane=SLOW_LANE), Requests(ground, "behind")
        partition = ground.rng.randrange(PARTITIONS)
        campaigns = []
        for _ in range(self.CAMPAIGNS):
            people = slow.people(ground.rng.randint(200, 300))
            event = slow.event(to=people, category="marketing", campaign="spring")
            campaigns.append(slow.record(event, promise=Promise.OUTCOME, recipients=len(people), partition=partition))
        keys = [campaign.key for campaign in campaigns]
        behind = [ordinary.record(partition=partition, behind=keys) for _ in range(self.BEHIND)]
        await PoisonProducer(ground, "poison_campaign", **{"enable.idempotence": True}).produce([*campaigns, *behind])

    async def undo(self, ground: Ground) -> None:
        """It stays on the log."""


def _measured(pid: int) -> tuple[int, int]:
    """The process and its memory now, MB; its peak is counted from here (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return pid, _status_mb(pid, "VmRSS")


def _status_mb(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) >> 10
