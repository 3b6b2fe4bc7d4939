"""A tenant's lister against the simulator: real list over a real socket; rows from folded logs, outputs folded back."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from app.config.tenants import LaneConfig, Tenant
from app.domain.content.digests import text_digest
from app.domain.content.phone import read_address
from app.domain.model.contact import Message
from app.domain.model.identity import contact_id, key_fingerprint
from app.domain.model.inputs import Input, LogPosition
from app.provider.http import Timeouts
from app.provider.twilio import TwilioProvider
from app.records.inbound_text import InboundTextBuilder
from app.records.lanes import InboundPolled
from app.records.seal import Content, Sealer
from app.records.topics import Topics
from app.streams.engine.agent import Output
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.reconcile.inbound_reconciliation import InboundReconciliation
from app.streams.reconcile.pager import Pager
from app.streams.reconcile.status import StatusChecks
from tests.support.given import ContactLog, doubtful, requested, taken, turn
from tests.support.simulated import ACCOUNT, NUMBER, TOKEN, RunningSimulator, simulating

KEY, TENANT = b"k" * 32, "acme"
HOUR_MS = 3_600_000


class House:
    """`people`: the log of each contact by id; `looked`: what topic `lanes` was told; `put`: every output."""

    def __init__(self, simulated: RunningSimulator, *, few: int, shared: bool, url: str, **tenant: Any) -> None:
        self.simulated, self.sealer = simulated, Sealer({"k1": b"s" * 32})
        self.tenant = Tenant(
            **{"name": TENANT, "account_sid": ACCOUNT, "lanes": {"main": LaneConfig(from_number=NUMBER)}, **tenant}
        )
        self.people: dict[str, ContactLog] = {}
        self.looked: list[int] = []
        self.outputs: list[Output] = []
        self.provider = TwilioProvider(ACCOUNT, (ACCOUNT, TOKEN), url or simulated.url, Timeouts(5.0, 5.0, 5.0), 5)
        self.pages = Pager(TENANT, self.provider, asyncio.Semaphore(2), 0.0)
        topics, self.faults = Topics("", "heliograph"), ContainedFaults()
        self.looks = StatusChecks(
            self.tenant, self.pages, self.messages, self.put, self.sealer, KEY, topics.contacts, self.faults, few
        )
        texting = InboundTextBuilder(self.sealer, KEY)
        self.inbox = InboundReconciliation(
            self.tenant, self.pages, self.put, texting, topics, self.faults, shared=shared
        )

    def messages(self, _partition: int, contact: str, named: Iterable[str]) -> list[Message]:
        if contact not in self.people or self.people[contact].contact is None:
            return []
        active, rows = self.people[contact].contact.messages, self.people[contact].rows
        return [*active.values(), *(rows[key] for name in named if (key := name[21:]) in rows and key not in active)]

    async def put(self, outputs: Sequence[Output]) -> None:
        """Onto the logs."""
        for output in outputs:
            assert output.key is not None and output.value is not None
            self.outputs.append(output)
            if output.topic == "lanes":
                self.looked.append(msgspec.json.decode(output.value, type=InboundPolled).until_ms)
                continue
            log = self.people.setdefault(output.key.decode(), ContactLog())
            log.offset += 1
            log.now_ms = max(log.now_ms, int(time.time() * 1000))
            log.fold(msgspec.json.decode(output.value, type=Input), LogPosition(0, log.offset, log.now_ms))

    def contact(self, person: str) -> str:
        return contact_id(KEY, TENANT, read_address(person).canonical)

    def sends(self, person: str, body: str, sid: str = "", ago_ms: int = 2000, look_after_ms: int = 1000) -> str:
        """A message claimed so long ago: taken under `sid`, else in doubt. Its look is due. Returns its id."""
        contact = self.contact(person)
        log = self.people.setdefault(contact, ContactLog())
        message = f"{contact}-{len(log.contact.messages) if log.contact else 0:020x}"
        log.now_ms = int(time.time() * 1000) - ago_ms - 2
        limits = {"expires_ms": log.now_ms + HOUR_MS, "outcome_ms": log.now_ms + 2 * HOUR_MS}
        asked = msgspec.structs.replace(
            requested(
                digest=text_digest(KEY, contact, body, 0),
                look_after_ms=(look_after_ms,),
                doubt_look_after_ms=(),
                **limits,
            ),
            sealed_to=self.sealer.seal_content(Content(person), TENANT, message),
        )
        for record in (asked, turn(), taken(sid=sid) if sid else doubtful()):
            named = msgspec.structs.replace(record, tenant=TENANT, pk=key_fingerprint(KEY), message_id=message)
            log.then(named, after_ms=1)
        self.looks.want(0, message)
        return message

    def message(self, message_id: str) -> Message:
        return self.people[message_id.partition("-")[0]].message(message_id.partition("-")[2])


@asynccontextmanager
async def housed(
    few: int = 40, shared: bool = False, url: str = "", tenant: dict[str, Any] | None = None, **config: Any
) -> AsyncIterator[House]:
    """House and simulator, up; `url`: another Twilio than that."""
    async with simulating(**config) as simulated:
        house = House(simulated, few=few, shared=shared, url=url, **(tenant or {}))
        try:
            yield house
        finally:
            await house.provider.close()
