"""Timers that came due: each becomes a record on its contact's log, or a question to Twilio."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

import msgspec

from app import clock
from app.domain.model.inputs import TimerDue
from app.domain.model.vocabulary import DueKind
from app.streams.agents.contacts import ContactsAgent
from app.streams.engine.agent import Output
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.timers.checkpoints import CheckpointBase, PartitionCheckpoints
from app.streams.timers.timers import ALL_READ, Entry, Now, PartitionTimers

_encode = msgspec.json.Encoder().encode
# Between two rounds, and after one that failed.
TIMER_LOOK_S, TIMER_FAULT_S = 0.05, 5.0
# Rows between two breaths of the loop (some 3 ms), and how long timers that are armed wait for those that are not yet.
ARMED_AT_ONCE, ARMING_S = 100, 1.0
# Entries of one partition that a round sends: after a long rest many are due at once, and others must not wait for all.
SENT_AT_ONCE = 1000

Want = Callable[[str, int, str], None]
_Sent = tuple[Output, Callable[[int], None]]  # a record, and what is told the offset it got
Put = Callable[[Sequence[Output]], Awaitable[Mapping[tuple[str, int], int]]]


class DueTimers:
    """`put` produces records and returns the last offset by topic and partition; `want_look` and
    `want_recall` are given tenant, partition and message; `folded_to` the first offset of a partition not folded."""

    def __init__(
        self,
        contacts: ContactsAgent,
        put: Put,
        want_look: Want,
        want_recall: Want,
        faults: ContainedFaults,
        *,
        topic: str,
        pk: str,
        folded_to: Callable[[int], int] = lambda partition: ALL_READ,
    ) -> None:
        self._contacts, self._put, self._faults = contacts, put, faults
        self._want_look, self._want_recall = want_look, want_recall
        self._topic, self._pk, self._folded_to = topic, pk, folded_to

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
        due = [
            *(one for n, timers in self._contacts.timers.items() for one in self._due_of(n, timers, now[1])),
            *(one for n, bases in self._contacts.checkpoints.items() for one in self._checkpoints_of(n, bases, now)),
        ]
        if due:
            ends = await self._put([output for output, _ in due])
            for output, sent in due:
                if (offset := ends.get((self._topic, output.partition or 0))) is not None:
                    sent(offset)

    def _due_of(self, partition: int, timers: PartitionTimers, boot_s: float) -> Iterator[_Sent]:
        for entry in islice(timers.due(boot_s, self._folded_to(partition)), SENT_AT_ONCE):
            message_id, kind, _, tenant = entry
            if kind is DueKind.LOOK:
                self._want_look(tenant, partition, message_id)
            elif kind is DueKind.RECALL:
                self._want_recall(tenant, partition, message_id)
            else:
                yield self._due(partition, entry), partial(timers.sent, entry)

    def _checkpoints_of(self, partition: int, bases: PartitionCheckpoints, now: Now) -> Iterator[_Sent]:
        for entry in bases.due(now, self._folded_to(partition)):
            yield self._checkpoint(partition, *entry), partial(bases.sent, entry[0])

    async def _arm(self) -> None:
        """Timers of partitions that became ours, in bits between which the loop breathes, for a second at most."""
        end = clock.boot_s() + ARMING_S
        while clock.boot_s() < end and self._contacts.arm_some(ARMED_AT_ONCE):
            await asyncio.sleep(0)

    def _due(self, partition: int, entry: Entry) -> Output:
        message_id, kind, due_ms, tenant = entry
        contact, _, key = message_id.partition("-")
        value = TimerDue(
            id=f"{key}.{kind.value}@{due_ms}",
            tenant=tenant,
            pk=self._pk,
            at=clock.now_ms(),
            message_id=message_id,
            kind=kind,
            due_ms=due_ms,
        )
        return Output(self._topic, contact.encode(), _encode(value), partition)

    def _checkpoint(self, partition: int, contact: str, base: CheckpointBase, due_ms: int) -> Output:
        value = TimerDue(
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
