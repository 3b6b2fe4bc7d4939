"""Recalls: Twilio asked to cancel texts that it holds until their time, as the rows want it.

A recall is due by the message's row (`domain.timing`) and stays due until Twilio's word is on the contact's log: one
that failed, or whose worker died, is asked again. Twilio is asked whatever became of the lease: to cancel twice does no
harm.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from app import clock, telemetry
from app.domain.model.contact import Contact, Message
from app.domain.model.inputs import ScheduledCancelReturned
from app.domain.rules.schedule import held
from app.provider.provider_api import CancelResult, CreateUnknown
from app.streams.engine.agent import Output
from app.streams.monitoring.contained_faults import ContainedFaults

log = telemetry.logger(__name__)
_encode = msgspec.json.Encoder().encode


class Canceler(Protocol):
    """Cancels for one tenant."""

    async def cancel(self, sid: str) -> CancelResult | CreateUnknown:
        """Twilio's word; Doubtful to be asked again."""
        ...


class ScheduledCancels:
    """`want` is told what came due."""

    def __init__(
        self,
        cancelers: Mapping[str, Canceler],
        lines: Mapping[str, AbstractAsyncContextManager[Any]],
        rows: Callable[[int, str], Contact | None],
        put: Callable[[Sequence[Output]], Awaitable[object]],
        faults: ContainedFaults,
        *,
        topic: str,
        pk: str,
    ) -> None:
        self._cancelers, self._lines, self._rows, self._put, self._faults = cancelers, lines, rows, put, faults
        self._topic, self._pk = topic, pk
        self._asking: dict[str, asyncio.Task[None]] = {}

    def want(self, tenant: str, partition: int, message_id: str) -> None:
        """The recall of this message is due."""
        if tenant not in self._cancelers or message_id in self._asking:
            return
        task = asyncio.get_running_loop().create_task(self._recall(tenant, partition, message_id))
        self._asking[message_id] = task
        task.add_done_callback(lambda done: self._ended(message_id, done))

    async def close(self) -> None:
        """What is not answered yet comes due again elsewhere."""
        asking = tuple(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _ended(self, message_id: str, task: asyncio.Task[None]) -> None:
        del self._asking[message_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            # Of this message alone; it comes due again.
            self._faults.note("recall", error, message=message_id)

    async def _recall(self, tenant: str, partition: int, message_id: str) -> None:
        message = self._message(partition, message_id)
        attempt = held(message) if message is not None and message.recall_ms else None
        if attempt is None:
            return
        async with self._lines[tenant]:
            said = await self._cancelers[tenant].cancel(attempt.sid)
        if isinstance(said, CreateUnknown):
            log.warning("recall.failed", message=message_id, why=said.why, status=said.http_status)
            return
        value = ScheduledCancelReturned(
            id=clock.new_id(),
            tenant=tenant,
            pk=self._pk,
            at=clock.now_ms(),
            message_id=message_id,
            attempt=attempt.n,
            sid=attempt.sid,
            canceled=said.done,
            code=said.code,
        )
        await self._put([Output(self._topic, message_id.partition("-")[0].encode(), _encode(value), partition)])

    def _message(self, partition: int, message_id: str) -> Message | None:
        contact, _, key = message_id.partition("-")
        row = self._rows(partition, contact)
        return row.messages.get(key) if row is not None else None
