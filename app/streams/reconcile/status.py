"""Looks: Twilio's list asked about messages without a final report, one tenant's, of the partitions that are ours.

A look is due by the message's row (`domain.timing`). What the list holds goes onto the contact's log as one input; with
it the row's due time moves on, so a look that failed, or whose worker died, is due again by itself. Few contacts are
asked for one by one, by recipient; many by when their texts were sent, and then only those that are not found so (their
text may wait in Twilio's queue). An attempt in doubt is always asked for by recipient:
only that shows all there is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise

import msgspec

from app import clock, telemetry
from app.config.tenants import Tenant
from app.domain.content.digests import text_digest
from app.domain.content.phone import read_address
from app.domain.model.contact import Message, in_doubt, may_arrive
from app.domain.model.identity import contact_id, key_fingerprint
from app.domain.model.inputs import MessagesListed
from app.domain.model.listed_text import ListedText
from app.domain.rules.placement import SKEW_MS
from app.domain.rules.schedule import looks
from app.provider.error_enrichment import About, stamp
from app.provider.message_list import ListedMessage, Query
from app.records.seal import Sealer, UnsealError
from app.streams.engine.agent import Output
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.reconcile.pager import ListUnavailableError, Pager

log = telemetry.logger(__name__)
_encode = msgspec.json.Encoder().encode

# By recipient, up to so many contacts at a time; beyond, by windows. A window costs its pages however many contacts are
# looked for in it, so what a pass took is let pass several times, up to a minute, before the next.
FEW, PAUSES, LONGEST_PAUSE_S = 40, 9, 60.0
# A text is sent so soon after its claim, or its contact is asked for by recipient; windows further apart are two.
SENT_WITHIN_MS = 120_000
MOST_TEXTS = 500
# Rows read, or records written, between two breaths of the loop.
AT_ONCE = 200

Rows = Callable[[int, str, Iterable[str]], list[Message]]
Put = Callable[[Sequence[Output]], Awaitable[object]]


class StatusCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One contact to ask for. `since_ms`: the oldest claim; `due_ms`: what the answer is to."""

    contact: str
    partition: int
    address: str
    message_ids: tuple[str, ...]
    since_ms: int
    due_ms: int
    doubtful: bool

    def __repr__(self) -> str:
        return "<Look>"


class StatusChecks:
    """`want` is told what came due; `round` asks and writes. `rows`: of a partition and a contact, the
    messages in its row, and those of the given ids that have rows of their own."""

    def __init__(
        self,
        tenant: Tenant,
        pages: Pager,
        rows: Rows,
        put: Put,
        sealer: Sealer,
        key: bytes,
        topic: str,
        faults: ContainedFaults,
        few: int = FEW,
    ) -> None:
        self._faults = faults
        self._tenant, self._pages, self._rows, self._put = tenant, pages, rows, put
        self._sealer, self._key, self._pk, self._topic = sealer, key, key_fingerprint(key), topic
        self._few, self._next_pass_s = few, 0.0
        self._wanted: dict[str, tuple[int, set[str]]] = {}
        self._doubtful: dict[str, StatusCheck] = {}
        self._plain: dict[str, StatusCheck] = {}

    def want(self, partition: int, message_id: str) -> None:
        """A look of this message is due."""
        self._wanted.setdefault(message_id.partition("-")[0], (partition, set()))[1].add(message_id)

    async def round(self) -> None:
        """Ask for some of what is wanted; the rest stays wanted. What could not be asked comes due again."""
        await self._sort()
        if not self._pages.open:
            return
        try:
            await self._some(self._doubtful)
            if len(self._plain) <= self._few:
                await self._some(self._plain)
            elif clock.boot_s() >= self._next_pass_s:
                await self._pass()
        except ListUnavailableError:
            return

    async def _sort(self) -> None:
        """What is wanted, as its rows stand; the loop breathes in between, for there may be many."""
        wanted, self._wanted = self._wanted, {}
        for n, (contact, (partition, named)) in enumerate(wanted.items(), 1):
            if (look := self._try_look(contact, partition, named)) is not None:
                (self._doubtful if look.doubtful else self._plain)[contact] = look
            if n % AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _some(self, looks: dict[str, StatusCheck]) -> None:
        for contact in tuple(looks)[: self._few]:
            await self._one(looks.pop(contact))

    def _try_look(self, contact: str, partition: int, named: Iterable[str]) -> StatusCheck | None:
        try:
            return self._look(contact, partition, named)
        except Exception as error:  # noqa: BLE001 - the other contacts are looked for
            self._faults.note("lister", error, contact=contact)
            return None

    def _look(self, contact: str, partition: int, named: Iterable[str]) -> StatusCheck | None:
        """From the rows as they stand; None if nothing is due any more."""
        now = clock.now_ms()
        messages = [m for m in self._rows(partition, contact, named) if any(at <= now for _, at in looks(m))]
        if not messages:
            return None
        try:
            address = self._sealer.open_content(messages[0].sealed_to, self._tenant.name, messages[0].id).to
        except UnsealError as fault:
            log.error("look.impossible", message=messages[0].id, fault=type(fault).__name__)
            return None
        attempts = [attempt for m in messages for attempt in m.attempts if may_arrive(attempt)]
        return StatusCheck(
            contact=contact,
            partition=partition,
            address=address,
            message_ids=tuple(m.id for m in messages),
            since_ms=min(attempt.claimed_ms for attempt in attempts),
            due_ms=max(_due_ms(m, now) for m in messages),
            doubtful=any(in_doubt(attempt) for attempt in attempts),
        )

    async def _one(self, look: StatusCheck) -> None:
        """All that Twilio holds to this person since the claim, newest first."""
        texts, readable = list[ListedMessage](), True
        async for page in self._pages.of(Query(to=look.address)):
            texts += page.texts
            readable = readable and page.whole
            if page.reaches(look.since_ms - SKEW_MS) or len(texts) > MOST_TEXTS:
                break
        await self._put([self._listed(look, texts, whole=readable and len(texts) <= MOST_TEXTS)])

    async def _pass(self) -> None:
        began = clock.boot_s()
        await self._by_windows()
        now = clock.boot_s()
        self._next_pass_s = now + min(LONGEST_PAUSE_S, PAUSES * (now - began))

    async def _by_windows(self) -> None:
        """By when they were sent; then some of those that were not found so."""
        plain, self._plain = self._plain, {}
        texts: dict[str, list[ListedMessage]] = {}
        for start, end in _windows(look.since_ms for look in plain.values()):
            query = Query(sent_from_ms=start - SKEW_MS, sent_until_ms=end + SENT_WITHIN_MS)
            async for page in self._pages.of(query):
                for text in page.texts:
                    if not text.inbound and (contact := self._contact(text)) in plain:
                        texts.setdefault(contact, []).append(text)
                if page.reaches(start - SKEW_MS):
                    break
        seen = list(texts)
        for n in range(0, len(seen), AT_ONCE):
            await self._put([self._listed(plain[c], texts[c], whole=False) for c in seen[n : n + AT_ONCE]])
        await self._some({contact: look for contact, look in plain.items() if contact not in texts})

    def _contact(self, text: ListedMessage) -> str:
        return contact_id(self._key, self._tenant.name, read_address(text.to).canonical)

    def _listed(self, look: StatusCheck, texts: Iterable[ListedMessage], *, whole: bool) -> Output:
        recent = [text for text in texts if text.by_api and text.created_ms >= look.since_ms - SKEW_MS][:MOST_TEXTS]
        value = MessagesListed(
            id=clock.new_id(),
            tenant=self._tenant.name,
            pk=self._pk,
            at=clock.now_ms(),
            message_ids=look.message_ids,
            look_ms=look.due_ms,
            texts=tuple(self._text(look.contact, text) for text in recent if text.progress is not None),
            whole=whole,
        )
        return Output(self._topic, look.contact.encode(), _encode(value), look.partition)

    def _text(self, contact: str, text: ListedMessage) -> ListedText:
        assert text.progress is not None, "outgoing texts have one"
        about = About(clock.now_ms(), text.to, text.sender, invalid_after=self._tenant.invalid_after)
        stamped = stamp(text.code, text.error, about)
        return ListedText(
            sid=text.sid,
            created_ms=text.created_ms,
            progress=text.progress,
            status=text.status,
            lanes=self._lanes(text),
            digest=text_digest(self._key, contact, text.body, text.media),
            code=text.code,
            error=stamped.error,
            invalid_after=stamped.invalid_after,
            hold_until_ms=stamped.hold_until_ms,
        )

    def _lanes(self, text: ListedMessage) -> tuple[str, ...]:
        """The tenant's lanes whose sender it bears; what a service sent is the service's, whatever its number."""
        return tuple(
            name
            for name, lane in self._tenant.lanes.items()
            if (lane.messaging_service_sid == text.service if text.service else lane.from_number == text.sender)
            if not lane.pinned or text.sender in ("", lane.from_number)
        )


def _due_ms(message: Message, now: int) -> int:
    return max((at for _, at in looks(message) if at <= now), default=0)


def _windows(claims: Iterable[int]) -> list[tuple[int, int]]:
    """Spans that hold every claim; a gap wider than what follows a window anyway begins another."""
    ordered = sorted(claims)
    cuts = [n for n, (one, other) in enumerate(pairwise(ordered), 1) if other - one > SENT_WITHIN_MS]
    return [(part[0], part[-1]) for a, b in pairwise((0, *cuts, len(ordered))) if (part := ordered[a:b])]
