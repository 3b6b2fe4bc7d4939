"""Due timers on their way to the log: one record each, however far the partition is behind."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from app import clock
from app.streams.agents import due_timers
from app.streams.agents.due_timers import DueTimers
from app.streams.engine.agent import Output
from app.streams.engine.errors import RecordRefusedError
from app.streams.monitoring.contained_faults import ContainedFaults, TolerantSender
from app.streams.timers.checkpoints import PartitionCheckpoints
from app.streams.timers.timers import RESEND_S, PartitionTimers
from tests.support.given import HOUR_MS, MESSAGE, START_MS, given, requested

COUNT = 300
DAY_MS = 24 * HOUR_MS


class Behind:
    """Partition 3 of `contacts` with `COUNT` messages past their deadlines and as many old contacts; all that is sent
    lies behind a backlog. `refuses`: the offset whose record Kafka does not take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuses: int = -1) -> None:
        self.boot_s, self.folded_to, self.end, self.refuses = 5000.0, 100, 40_000, refuses
        self.timers, self.checkpoints = {3: PartitionTimers()}, {3: PartitionCheckpoints(DAY_MS)}
        self.sent = Counter[str]()
        log = given(requested())
        for n in range(COUNT):
            message = msgspec.structs.replace(log.message(), id=f"{MESSAGE}{n}")
            self.timers[3].arm(message, (START_MS + 2 * HOUR_MS, self.boot_s))
            self.checkpoints[3].arm(f"c{n}", log.contact)
        monkeypatch.setattr(clock, "boot_s", lambda: self.boot_s)
        monkeypatch.setattr(clock, "now_ms", lambda: START_MS + 2 * DAY_MS)
        put = TolerantSender(self.put, ContainedFaults(), "timers")
        never: Any = None
        given_all = {"topic": "contacts", "pk": "11111111", "folded_to": lambda partition: self.folded_to}
        self.due = DueTimers(self, put, never, never, ContainedFaults(), **given_all)  # type: ignore[arg-type]

    def arm_some(self, count: int) -> bool:
        return False

    async def put(self, outputs: Sequence[Output]) -> dict[tuple[str, int], int]:
        if len(outputs) > 1 and self.refuses >= 0:
            raise RecordRefusedError("MessageSizeTooLargeError")
        for output in outputs:
            self.sent[str(msgspec.json.decode(output.value or b"")["id"]) + str(output.key)] += 1
            if self.refuses == self.end:
                self.end += 1
                raise RecordRefusedError("MessageSizeTooLargeError")
            self.end += 1
        return {("contacts", 3): self.end - 1}

    async def pass_s(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            await self.due._fire_due()
            self.boot_s += 1.0


async def test_a_partition_that_is_behind_gets_one_record_of_each_due_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = Behind(monkeypatch)
    await behind.pass_s(10 * RESEND_S)
    assert set(behind.sent.values()) == {1} and len(behind.sent) == 2 * COUNT
    behind.folded_to = behind.end
    await behind.pass_s(RESEND_S)
    assert set(behind.sent.values()) == {2}, "folded, and still armed: sent once more"


async def test_one_that_kafka_refused_keeps_none_of_the_others_from_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = Behind(monkeypatch, refuses=40_005)
    await behind.pass_s(10 * RESEND_S)
    assert sum(behind.sent.values()) == 2 * COUNT


async def test_a_round_sends_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_timers, "SENT_AT_ONCE", 20)
    behind = Behind(monkeypatch)
    await behind.pass_s(1)
    assert sum(behind.sent.values()) == 20 + 100
    await behind.pass_s(20)
    assert sum(behind.sent.values()) == 2 * COUNT
