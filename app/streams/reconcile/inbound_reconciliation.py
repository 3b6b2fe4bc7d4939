"""Inbox: texts that came in to one tenant, found on Twilio's list, in case their webhook was lost.

Above all a STOP: it closes from when Twilio received it. One worker looks per tenant, the owner of its lanes, from
where the last look ended (a record on topic `lanes` says so), with an overlap, for the list may be late. The input has
the SID that the webhook's has: whichever comes first is told, the other is nothing new.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from app import clock
from app.config.tenants import Tenant
from app.domain.content.keywords import read_intent
from app.domain.model.vocabulary import Intent, Provenance
from app.provider.message_list import ListedMessage, Query
from app.records.inbound_text import ArrivedText, InboundTextBuilder
from app.records.lanes import InboundPolled
from app.records.topics import Topics
from app.streams.engine.agent import Output
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.reconcile.pager import ListUnavailableError, Pager

_encode = msgspec.json.Encoder().encode

OVERLAP_MS = 900_000
# Where nobody looked before.
FIRST_MS = 3_600_000
# Twilio's times are whole seconds: a STOP counts from the end of its second, so that doubt leaves it closed.
STOP_LATER_MS = 999


class InboundReconciliation:
    """`shared`: other tenants have the same account, so texts are told apart by what they came to."""

    def __init__(
        self,
        tenant: Tenant,
        pages: Pager,
        put: Callable[[Sequence[Output]], Awaitable[object]],
        texting: InboundTextBuilder,
        topics: Topics,
        faults: ContainedFaults,
        *,
        shared: bool,
    ) -> None:
        self._faults = faults
        self._tenant, self._pages, self._put, self._texting, self._topics = tenant, pages, put, texting, topics
        self._shared = shared
        self._seen: dict[str, int] = {}

    async def look(self, looked_ms: int | None) -> int | None:
        """Write what came since `looked_ms` (None: nobody looked before); up to when it was looked, None if not."""
        if not self._pages.open:
            return None
        now = clock.now_ms()
        # A former owner's clock may be ahead of ours: what it looked through ends now at the latest.
        since = (now - FIRST_MS if looked_ms is None else min(looked_ms, now)) - OVERLAP_MS
        try:
            for query in self._queries(since):
                async for page in self._pages.of(query):
                    await self._write([text for text in page.texts if self._is_new(text)])
                    if page.reaches(since):
                        break
        except ListUnavailableError:
            return None
        self._seen = {sid: at for sid, at in self._seen.items() if at >= since}
        value = InboundPolled(tenant=self._tenant.name, until_ms=now)
        await self._put([Output(self._topics.lanes, self._tenant.name.encode(), _encode(value))])
        return now

    def _queries(self, since_ms: int) -> list[Query]:
        """By our numbers; a service's pool is not known here, so with one of those all that was sent is read."""
        numbers = {lane.from_number for lane in self._tenant.lanes.values()}
        if "" in numbers:
            return [Query(sent_from_ms=since_ms)]
        return [Query(to=number, sent_from_ms=since_ms) for number in sorted(numbers)]

    def _is_new(self, text: ListedMessage) -> bool:
        lanes = self._tenant.lanes.values()
        ours = not self._shared or any(
            text.service == lane.messaging_service_sid if lane.messaging_service_sid else text.to == lane.from_number
            for lane in lanes
        )
        return text.inbound and ours and bool(text.sender) and text.sid not in self._seen

    async def _write(self, texts: list[ListedMessage]) -> None:
        await self._put([output for text in texts if (output := self._try_output(text)) is not None])
        self._seen |= {text.sid: text.created_ms for text in texts}

    def _try_output(self, text: ListedMessage) -> Output | None:
        try:
            return self._output(text)
        except Exception as error:  # noqa: BLE001 - a STOP behind a text that is odd must be found
            self._faults.note("lister", error, sid=text.sid[:34])
            return None

    def _output(self, text: ListedMessage) -> Output:
        reading = read_intent(text.body, "", self._tenant.stop_words)
        came = ArrivedText(
            sid=text.sid,
            person=text.sender,
            to=text.to,
            body=text.body,
            at_ms=text.created_ms + (STOP_LATER_MS if reading.intent is Intent.STOP else 0),
            media_count=text.media,
            service=text.service,
            provenance=Provenance.RECONCILED,
        )
        contact, value = self._texting.input(clock.new_id(), self._tenant.name, came, reading, ours=False)
        return Output(self._topics.contacts, contact.encode(), _encode(value))
