"""Timers that came due: each becomes a record on its contact's log, or a question to Twilio."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from app import clock
from app.domain.inputs import Due
from app.domain.words import DueKind
from app.streams.checkpoints import Base
from app.streams.contacts import ContactsAgent
from app.streams.contained import ContainedFaults
from app.streams.engine.agent import Output
from app.streams.timers import Entry

_encode = msgspec.json.Encoder().encode
# Between two rounds, and after one that failed.
TIMER_LOOK_S, TIMER_FAULT_S = 0.05, 5.0
# Due, and no records: Twilio is asked.
ASKED = (DueKind.LOOK, DueKind.RECALL)
# Rows between two breaths of the loop (some 3 ms), and how long timers that are armed wait for those that are not yet.
ARMED_AT_ONCE, ARMING_S = 100, 1.0

Want = Callable[[str, int, str], None]


class DueTimers:
    """See the module. `put` produces records; `want_look` and `want_recall` are given tenant, partition and message."""

    def __init__(
        self,
        contacts: ContactsAgent,
        put: Callable[[Sequence[Output]], Awaitable[None]],
        want_look: Want,
        want_recall: Want,
        faults: ContainedFaults,
        *,
        topic: str,
        pk: str,
    ) -> None:
        self._contacts, self._put, self._faults = contacts, put, faults
        self._want_look, self._want_recall = want_look, want_recall
        self._topic, self._pk = topic, pk

    async def run(self) -> None:
        """For ever. What a round that fails did not send comes due again."""
        pause_s = TIMER_LOOK_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._fire_due()
                pause_s = TIMER_LOOK_S
            except Exception as error:  # noqa: BLE001 - one odd row must not end the timers of all contacts
                self._faults.note("timers", error)
                pause_s = TIMER_FAULT_S

    async def _fire_due(self) -> None:
        """Send what came due onto the contact's log; a look is for the lister and a recall for the recalls, which write
        what they are told there."""
        await self._arm()
        now = clock.now_ms(), clock.boot_s()
        entries = [(n, entry) for n, timers in self._contacts.timers.items() for entry in timers.due(now[1])]
        for partition, (message_id, kind, _, tenant) in entries:
            if kind is DueKind.LOOK:
                self._want_look(tenant, partition, message_id)
            elif kind is DueKind.RECALL:
                self._want_recall(tenant, partition, message_id)
        due = [self._due(partition, entry) for partition, entry in entries if entry[1] not in ASKED]
        due += [
            self._checkpoint(partition, *entry)
            for partition, checkpoints in self._contacts.checkpoints.items()
            for entry in checkpoints.due(now)
        ]
        if due:
            await self._put(due)

    async def _arm(self) -> None:
        """Timers of partitions that became ours, in bits between which the loop breathes, for a second at most."""
        end = clock.boot_s() + ARMING_S
        while clock.boot_s() < end and self._contacts.arm_some(ARMED_AT_ONCE):
            await asyncio.sleep(0)

    def _due(self, partition: int, entry: Entry) -> Output:
        message_id, kind, due_ms, tenant = entry
        contact, _, key = message_id.partition("-")
        value = Due(
            id=f"{key}.{kind.value}@{due_ms}",
            tenant=tenant,
            pk=self._pk,
            at=clock.now_ms(),
            message_id=message_id,
            kind=kind,
            due_ms=due_ms,
        )
        return Output(self._topic, contact.encode(), _encode(value), partition)

    def _checkpoint(self, partition: int, contact: str, base: Base, due_ms: int) -> Output:
        value = Due(
            id=f"checkpoint@{due_ms}",
            tenant=base.tenant,
            pk=self._pk,
            at=clock.now_ms(),
            message_id="",
            kind=DueKind.CHECKPOINT,
            due_ms=due_ms,
            based=base.offset,
        )
        return Output(self._topic, contact.encode(), _encode(value), partition)
