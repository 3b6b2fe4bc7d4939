"""Lister: one task per tenant that asks Twilio's list, for looks that are due and for texts that came in."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from app import clock
from app.config.settings import Settings
from app.config.tenants import Tenant
from app.domain.model.contact import Contact, Message
from app.provider.message_list import MessageList
from app.records.inbound_text import InboundTextBuilder
from app.records.seal import Sealer
from app.records.topics import Topics
from app.streams.agents.contact_fold import CONTACTS, MESSAGES
from app.streams.engine.engine import Engine
from app.streams.engine.producer import partition_of
from app.streams.monitoring.contained_faults import ContainedFaults, TolerantSender
from app.streams.reconcile.inbound_reconciliation import InboundReconciliation
from app.streams.reconcile.pager import Pager
from app.streams.reconcile.status import StatusChecks

_decode, _message = msgspec.json.Decoder(Contact).decode, msgspec.json.Decoder(Message).decode
# Between two rounds of a tenant; longer and longer while they fail.
ROUND_S, LONGEST_S = 0.5, 60.0


def look_is_due(looked_ms: int | None, now_ms: int, interval_s: float) -> bool:
    """True if nobody looked through the inbox within the last `interval_s`.

    A time ahead of ours is by the clock of a former owner, and says nothing of how long ago that was.
    """
    return looked_ms is None or looked_ms > now_ms or now_ms - looked_ms >= interval_s * 1000


class Reconciler:
    """All tenants. `looked`: up to when (ms) each tenant's inbox was looked through, as topic `lanes` has it."""

    def __init__(
        self,
        tenants: Mapping[str, Tenant],
        catalogues: Mapping[str, MessageList],
        lines: Mapping[str, AbstractAsyncContextManager[Any]],
        engine: Engine,
        looked: Mapping[str, int],
        settings: Settings,
        faults: ContainedFaults,
    ) -> None:
        self._tenants, self._engine, self._looked, self._faults = tenants, engine, looked, faults
        self._topics = Topics(settings.topic_prefix, settings.group)
        self._interval_s, self._partitions = settings.inbound_look_s, settings.partitions
        sealer, key = Sealer(settings.seal_keys), settings.pseudonym_key
        texting, put = InboundTextBuilder(sealer, key), TolerantSender(engine.send_all, faults, "lister")
        accounts = [tenant.account_sid for tenant in tenants.values()]
        self._looks, self._inboxes = {}, {}
        self._inboxed: dict[str, int] = {}
        for name, tenant in tenants.items():
            pages = Pager(name, catalogues[name], lines[name])
            self._looks[name] = StatusChecks(
                tenant, pages, self.messages, put, sealer, key, self._topics.contacts, faults
            )
            shared = accounts.count(tenant.account_sid) > 1
            self._inboxes[name] = InboundReconciliation(
                tenant, pages, put, texting, self._topics, faults, shared=shared
            )

    def want(self, tenant: str, partition: int, message_id: str) -> None:
        """A look of this message is due."""
        if (looks := self._looks.get(tenant)) is not None:
            looks.want(partition, message_id)

    async def run(self, tenant: str) -> None:
        """For ever. A round that fails concerns this tenant alone, and another one follows."""
        failures = 0
        while True:
            await asyncio.sleep(min(LONGEST_S, ROUND_S * 2**failures))
            try:
                await self.round(tenant)
                failures = 0
            except Exception as error:  # noqa: BLE001 - what Twilio lists must not end the work of other tenants
                self._faults.note("lister", error, tenant=tenant)
                failures = min(failures + 1, 16)

    async def round(self, tenant: str) -> None:
        """One round: looks that are due, then the inbox if it is time."""
        await self._looks[tenant].round()
        if not self._interval_s or not self._owns(tenant):
            return
        looked_ms = max(filter(None, (self._inboxed.get(tenant), self._looked.get(tenant))), default=None)
        if look_is_due(looked_ms, clock.now_ms(), self._interval_s):
            looked_ms = await self._inboxes[tenant].look(looked_ms) or looked_ms
        if looked_ms is not None:
            self._inboxed[tenant] = looked_ms

    def _owns(self, tenant: str) -> bool:
        lanes = self._topics.lanes
        return self._engine.owns(lanes, partition_of(tenant.encode(), self._partitions))

    def row(self, partition: int, contact: str) -> Contact | None:
        """The contact's row as it stands."""
        raw = self._engine.row(self._topics.contacts, partition, CONTACTS, contact.encode())
        return None if raw is None else _decode(raw)

    def messages(self, partition: int, contact: str, named: Iterable[str]) -> list[Message]:
        """The messages in the contact's row, and those of the ids `named` that have rows of their own."""
        row, topic = self.row(partition, contact), self._topics.contacts
        active = row.messages if row is not None else {}
        others = (name.encode() for name in named if name.partition("-")[2] not in active)
        own = (self._engine.row(topic, partition, MESSAGES, key) for key in others)
        return [*active.values(), *(_message(raw) for raw in own if raw is not None)]
