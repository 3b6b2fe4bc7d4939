"""Twilio asked to cancel what it holds: once at a time, until its word is on the contact's log."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from app.domain.model.contact import Contact
from app.domain.model.inputs import ScheduledCancelReturned
from app.domain.model.vocabulary import Intent, OutcomeWord
from app.provider.concurrency_limiter import ConcurrencyLimiter
from app.provider.provider_api import CancelResult, CreateUnknown
from app.streams.engine.agent import Output
from app.streams.monitoring.contained_faults import ContainedFaults
from app.streams.reconcile.scheduled_cancels import ScheduledCancels
from tests.support.calling import settled
from tests.support.given import (
    CONTACT,
    HOUR_MS,
    KEY,
    MESSAGE,
    START_MS,
    ContactLog,
    given,
    requested,
    taken,
    text,
    turn,
)

AT_MS = START_MS + 2 * HOUR_MS
LIMITS = {"start_ms": AT_MS, "expires_ms": AT_MS + HOUR_MS, "outcome_ms": AT_MS + 2 * HOUR_MS}


class Office:
    """Recalls over one contact's log. `said`: what Twilio says in turn, the last for ever; `asked`: SIDs."""

    def __init__(self, log: ContactLog, *said: CancelResult | CreateUnknown) -> None:
        self.log, self.said, self.asked = log, list(said), list[str]()
        self.faults = ContainedFaults()
        self.told: list[ScheduledCancelReturned] = []
        self.gate = ConcurrencyLimiter(1)
        lines: dict[str, AbstractAsyncContextManager[Any]] = {"acme": self.gate.line("acme")}
        self.recalls = ScheduledCancels(
            {"acme": self}, lines, self._row, self._put, self.faults, topic="contacts", pk="11111111"
        )

    def _row(self, _partition: int, contact: str) -> Contact | None:
        return self.log.contact if contact == CONTACT else None

    async def _put(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            assert (output.topic, output.key, output.partition) == ("contacts", CONTACT.encode(), 3)
            self.told.append(msgspec.json.decode(output.value or b"", type=ScheduledCancelReturned))
            self.log.then(self.told[-1])

    async def cancel(self, sid: str) -> CancelResult | CreateUnknown:
        self.asked.append(sid)
        await asyncio.sleep(0)  # so that two askings could meet
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]

    async def due(self, times: int = 1, tenant: str = "acme", message: str = MESSAGE) -> "Office":
        for _ in range(times):
            self.recalls.want(tenant, 3, message)
        await settled()
        return self


def wanted() -> ContactLog:
    return given(requested(handed_over=True, **LIMITS), turn(), taken(), text(Intent.STOP))


async def test_p3_what_is_due_is_canceled_at_twilio_and_its_word_ends_the_message() -> None:
    office = await Office(wanted(), CancelResult(done=True)).due(times=3)
    assert (office.asked, office.log.message().word) == (["SM1"], OutcomeWord.SUPPRESSED)
    await office.due()
    assert office.asked == ["SM1"]


async def test_one_that_failed_leaves_the_row_as_it_is_and_is_asked_again_when_it_comes_due_again() -> None:
    office = await Office(wanted(), CreateUnknown(why="http 500", http_status=500), CancelResult(done=True)).due()
    assert office.log.message().word is None
    await office.due()
    assert (office.asked, office.log.message().word) == (["SM1", "SM1"], OutcomeWord.SUPPRESSED)


async def test_twilios_word_that_it_is_too_late_is_put_on_the_log_with_its_code() -> None:
    office = await Office(wanted(), CancelResult(done=False, code=30409)).due()
    assert [(one.canceled, one.code, one.sid, one.attempt) for one in office.told] == [(False, 30409, "SM1", 1)]
    assert office.log.message().recall_ms == 0 and office.log.message().word is None


@pytest.mark.parametrize(
    ("tenant", "message"), [("gone", MESSAGE), ("acme", f"{'0' * 20}-{KEY}"), ("acme", f"{CONTACT}-{'0' * 20}")]
)
async def test_what_is_no_more_to_be_recalled_is_not(tenant: str, message: str) -> None:
    office = await Office(wanted(), CancelResult(done=True)).due(tenant=tenant, message=message)
    assert (office.asked, office.faults.counts["recall"]) == ([], 0)


async def test_one_that_raises_concerns_its_message_alone_and_is_asked_again_when_it_comes_due_again() -> None:
    office = Office(wanted(), CancelResult(done=True, code=1 << 6000))
    await office.due()
    assert (office.told, office.faults.counts["recall"]) == ([], 1)
    office.said = [CancelResult(done=True)]
    await office.due()
    assert office.log.message().word is OutcomeWord.SUPPRESSED


async def test_it_waits_in_the_tenants_line_and_is_let_go_of_at_the_end() -> None:
    office = Office(wanted(), CancelResult(done=True))
    async with office.gate.line("acme"):
        await office.due()
        assert office.asked == []
        await office.recalls.close()
    assert office.asked == [] and office.gate.inside == 0
