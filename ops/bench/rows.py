"""What a message costs in rows, and what an input costs by how many messages its contact has had.

No Kafka: the fold of the contacts agent over a log in memory, one input a cycle, a message a minute, each with request,
turn, answer, four reports, and the timers of its end. Of the last messages of a life the changed rows are encoded and
counted, as they would go to the changelogs, and the time of fold and encoding is taken.
"""

import argparse
import heapq
import json
import time
from collections import Counter
from typing import Any

import msgspec
from fold import opening

from app.domain.model.inputs import DeliveryReported, MessageRequested, TimerDue
from app.domain.model.vocabulary import DeliveryStatus, Stage
from app.domain.rules.schedule import dues
from app.records.seal import Sealer
from app.records.topics import Topics
from app.streams.agents.contact_fold import CONTACTS, MESSAGES
from app.streams.engine.agent import Input
from app.streams.replay.replay import contact_fold

PK, START_MS, MINUTE_MS, KEPT_MS = "11111111", 1_800_000_000_000, 60_000, 24 * 3_600_000
STEPS = (DeliveryStatus.QUEUED, DeliveryStatus.SENDING, DeliveryStatus.SENT, DeliveryStatus.DELIVERED)
SEALER = Sealer({"bench": bytes(32)})
encode = msgspec.json.Encoder().encode


class Rows:
    """A scope that keeps rows decoded. `measured`: bytes and writes by table, while it counts."""

    def __init__(self) -> None:
        self.fold = contact_fold(Topics("", ""), PK)
        self.rows: dict[tuple[str, bytes], Any] = {}
        self.changed: dict[tuple[str, bytes], Any] = {}
        self.bytes, self.writes = Counter[str](), Counter[str]()
        self.inputs, self.seconds, self.counts = 0, 0.0, False

    def get(self, table: str, key: bytes) -> Any | None:
        """See `Scope`, as the others."""
        return self.rows.get((table, key))

    def put(self, table: str, key: bytes, row: Any) -> None:
        self.rows[table, key] = self.changed[table, key] = row

    def drop(self, table: str, key: bytes) -> None:
        self.rows.pop((table, key), None)
        self.changed[table, key] = None

    def emit(self, output: Any) -> None:
        """Outputs are not measured here."""

    def end_cycle(self) -> None:
        """Each input is a cycle."""

    def take(self, record: Input) -> None:
        """Fold an input; measure it if told to."""
        self.changed.clear()
        began = time.perf_counter()
        self.fold.fold(record, self)  # type: ignore[arg-type]
        encoded = [(table, encode(row)) for (table, _), row in self.changed.items() if row is not None and self.counts]
        if self.counts:
            self.inputs, self.seconds = self.inputs + 1, self.seconds + time.perf_counter() - began
            for table, row in encoded:
                self.bytes[table] += len(row)
                self.writes[table] += 1


def life(messages: int, measured: int) -> dict[str, float]:
    """A contact with so many messages; figures per message and per input over the last `measured` of them."""
    rows, offset, due = Rows(), 0, list[tuple[int, str]]()
    for n in range(messages):
        now, rows.counts = START_MS + n * MINUTE_MS, n >= messages - measured
        for record in message_inputs(n, now):
            rows.take(Input("contacts", 0, offset, now, CONTACT, record, []))
            offset += 1
        heapq.heappush(due, (now + KEPT_MS, message_of(n)))
        while due and due[0][0] <= now:
            if (fired := ended(rows, heapq.heappop(due)[1], now)) is not None:
                rows.take(Input("contacts", 0, offset, now, CONTACT, fired, []))
                offset += 1
    count = min(messages, measured)
    return {
        "messages": messages,
        "contact_row_bytes": len(encode(rows.rows[CONTACTS, CONTACT])),
        "contact_bytes_per_message": rows.bytes[CONTACTS] / count,
        "contact_writes_per_message": rows.writes[CONTACTS] / count,
        "message_bytes_per_message": rows.bytes[MESSAGES] / count,
        "message_writes_per_message": rows.writes[MESSAGES] / count,
        "us_per_input": rows.seconds / rows.inputs * 1e6,
    }


CONTACT = opening(0, PK, START_MS, SEALER)[0]


def message_of(n: int) -> str:
    """Ids of the one contact."""
    return f"{CONTACT.decode()}-{n:020x}"


def message_inputs(n: int, now: int) -> list[bytes]:
    """Request, turn, answer and four reports."""
    _, begun, message = opening(n, PK, now, SEALER)
    made = [record.replace(message.encode(), message_of(n).encode()) for record in begun]
    made[0] = encode(msgspec.structs.replace(msgspec.json.decode(made[0], type=MessageRequested), digest=f"{n:022x}"))
    base = {"tenant": "default", "pk": PK, "at": now, "message_id": message_of(n), "attempt": 1}
    sid = msgspec.json.decode(begun[-1])["sid"]
    reports = (DeliveryReported(id=f"{n}-{p}", sid=sid, progress=p, status=p.name.lower(), **base) for p in STEPS)
    return [*made, *map(encode, reports)]


def ended(rows: Rows, message_id: str, now: int) -> bytes | None:
    """The timer of a message that was final a day ago, if there is one."""
    contact, key = rows.rows[CONTACTS, CONTACT], message_id.partition("-")[2]
    message = contact.messages.get(key) or rows.rows.get((MESSAGES, message_id.encode()))
    if message is None or message.stage is not Stage.FINAL:
        return None
    for kind, at in dues(message):
        if at <= now:
            return encode(
                TimerDue(id="d", tenant="default", pk=PK, at=now, message_id=message_id, kind=kind, due_ms=at)
            )
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lives", default="10,1000,100000", help="Messages of each life.")
    parser.add_argument("--measured", type=int, default=200, help="Messages at the end of each that are measured.")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    # The fastest of several short ones, so that a cold start does not count.
    runs = {int(count): 9 if int(count) < given.measured else 1 for count in given.lives.split(",")}
    every = [[life(count, given.measured) for _ in range(times)] for count, times in runs.items()]
    lives = [min(several, key=lambda one: one["us_per_input"]) for several in every]
    if given.json:
        print(json.dumps(lives))
        return
    for name in lives[0]:
        print(f"{name:28}" + "".join(f"{one[name]:>14,.1f}" for one in lives))
    ratios = (one["us_per_input"] / lives[0]["us_per_input"] for one in lives)
    print(f"{'time per input, to the first':28}" + "".join(f"{ratio:>14.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
