"""From a folded turn to the call: what may leave, and what is abandoned because it comes too late."""

import asyncio
from typing import Any, NoReturn

import msgspec
import pytest

from app import clock
from app.domain.model.inputs import CreateReturned, PermitGranted, TextArrived
from app.domain.model.inputs import Input as ContactInput
from app.domain.model.vocabulary import CreateResult, DeliveryStatus, Intent
from app.provider.concurrency_limiter import ConcurrencyLimiter
from app.provider.provider_api import CreateAccepted, CreateNotSent, CreateRequest, LastCheck, Result
from app.records.topics import Topics
from app.streams.agents.caller_fields import without_key
from app.streams.agents.contacts import ContactsAgent
from app.streams.agents.outputs import OutputBuilder
from app.streams.engine.agent import Input, Output
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole
from app.streams.monitoring.in_doubt import AttemptsInDoubt
from app.streams.sending.calls import CallRunner
from tests.support.given import BASE, CONTACT, HOUR_MS, requested, text, turn

TTL_S = 5.0


class Twilio:
    """Takes every call that may leave."""

    def __init__(self) -> None:
        self.created: list[CreateRequest] = []

    async def create(self, call: CreateRequest, last_check: LastCheck) -> Result:
        if why := last_check():
            return CreateNotSent(why=why)
        self.created.append(call)
        return CreateAccepted(sid="SM" + "0" * 32, progress=DeliveryStatus.QUEUED, segments=1)

    async def close(self) -> None:
        pass


class Composer:
    """Needs no seal."""

    def create(self, message: Any, attempt: int) -> CreateRequest:
        service, callback = "MG" + "0" * 32, "https://hooks.example.com/status"
        return CreateRequest(
            to="+14155550123", body="hello", media=(), status_callback=callback,
            messaging_service_sid=service, from_number="", validity_s=60,
        )  # fmt: skip

    def invalid_after(self, tenant: str) -> dict[str, int]:
        return {}


class Leased:
    def may_act(self) -> bool:
        return True


class Empty:
    """A table without rows."""

    def get(self, key: bytes) -> bytes | None:
        return None


def fail(why: str) -> NoReturn:
    raise AssertionError(why)


class Raising(OutputBuilder):
    """A fault of ours: whatever a person texts cannot be told on."""

    def emit(self, record: Any, contact_id: str, parsed: Any, *more: Any) -> Any:
        if isinstance(parsed, TextArrived):
            raise RuntimeError("a fault of ours")
        return super().emit(record, contact_id, parsed, *more)


async def called(
    age_s: float | None, *inputs: ContactInput, skew_ms: int = 0
) -> tuple[Twilio, list[CreateReturned], Overlay]:
    """A request and these inputs (or a turn), folded in one slice.

    `age_s`: what is known of the turn's age, None for nothing; `skew_ms`: by which the log's clock is ahead of ours.
    """
    twilio, answers = Twilio(), list[CreateReturned]()

    async def put(partition: int, answered: CreateReturned) -> None:
        answers.append(answered)

    letter = Output("notify.deadletters", b"", b"")
    notices = Raising(Topics("", "app"), without_key)
    agent = ContactsAgent("contacts", notices, Composer(), lambda *_: letter, BASE["pk"], AttemptsInDoubt(), 10**9)
    lines = {"acme": ConcurrencyLimiter(5).line("acme")}
    agent.calls = CallRunner({"acme": twilio}, lines, put, Leased(), fail, pk=BASE["pk"], claim_ttl_s=TTL_S)
    now = clock.now_ms()
    asked = []

    def appended_after(partition: int, offset: int) -> float | None:
        asked.append((partition, offset))
        return None if age_s is None else clock.boot_s() - age_s

    agent.appended_after = appended_after
    agent.assigned(0, {"contacts": (), "messages": ()})
    overlay = Overlay(agent.tables, {spec.name: Empty() for spec in agent.tables})
    ask = requested(expires_ms=now + HOUR_MS, outcome_ms=now + 2 * HOUR_MS)
    log = (ask, *(inputs or (turn(),)))
    for offset, record in enumerate(log):
        value = msgspec.json.encode(record)
        fold_whole(agent, Input("contacts", 0, offset, now + skew_ms, CONTACT.encode(), value, []), overlay)
    agent.settled(0, overlay.changed)
    async with asyncio.timeout(5):
        while agent.calls.in_flight:
            await asyncio.sleep(0)
    assert set(asked) <= {(0, offset) for offset, record in enumerate(log) if isinstance(record, PermitGranted)}
    return twilio, answers, overlay


# Clocks an hour apart say nothing of a turn's age.
@pytest.mark.parametrize("skew_ms", [-HOUR_MS // 2, 0, HOUR_MS // 2])
@pytest.mark.parametrize("age_s", [0.0, 4.0])
async def test_a_turn_that_is_folded_in_time_is_called(age_s, skew_ms):
    twilio, answers, _ = await called(age_s, skew_ms=skew_ms)
    assert len(twilio.created) == 1
    assert [a.answer for a in answers] == [CreateResult.TAKEN]


@pytest.mark.parametrize("age_s", [TTL_S + 0.001, None])
async def test_a_turn_that_lay_on_the_log_for_longer_than_claim_ttl_is_abandoned(age_s):
    """A STOP may lie behind it that this worker has not read yet. So it may behind one of which nothing is known: it
    was there before this worker read the partition."""
    twilio, answers, _ = await called(age_s)
    assert twilio.created == []
    assert [(a.answer, a.why) for a in answers] == [(CreateResult.ABANDONED, "claim_ttl")]


async def test_a_fault_of_ours_freezes_the_contact_and_a_turn_after_it_is_not_taken():
    twilio, answers, overlay = await called(0.0, text(Intent.NONE), turn())
    assert (twilio.created, answers) == ([], [])
    contact = overlay.get("contacts", CONTACT.encode())
    assert (contact.frozen, contact.watermark) == ("RuntimeError", 1)
    assert [o.topic for o in overlay.outputs].count("notify.deadletters") == 1
    [told] = [
        value for o in overlay.outputs if (value := msgspec.json.decode(o.value or b"{}")).get("taken") is not None
    ]
    assert told["taken"] is False


async def test_a_fault_of_ours_behind_a_turn_in_one_slice_calls_it_back():
    twilio, answers, _ = await called(0.0, turn(), text(Intent.NONE))
    assert twilio.created == []
    assert [(a.answer, a.why) for a in answers] == [(CreateResult.ABANDONED, "frozen")]
