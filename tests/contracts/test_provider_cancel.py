"""Texts that Twilio holds until their time: handed over and canceled, against the simulator and a scripted server."""

import json
import time
from typing import Any

import pytest

from app.provider.http import Timeouts
from app.provider.provider_api import CancelResult, CreateAccepted, CreateRequest, CreateUnknown
from app.provider.twilio import TwilioProvider
from tests.support.scripted import HANG, RecordedCall, ScriptedServer, http, scripted
from tests.support.simulated import ACCOUNT, PERSON, SERVICE, TOKEN, RunningSimulator, eventually, simulating

SID = "SM" + "a" * 32
SOON = Timeouts(5.0, 5.0, 5.0)


def provider(url: str, timeouts: Timeouts = SOON) -> TwilioProvider:
    return TwilioProvider(ACCOUNT, (ACCOUNT, TOKEN), url, timeouts, 5)


async def scheduled(simulated: RunningSimulator, made: TwilioProvider, ahead_ms: int) -> str:
    """The SID of a text that Twilio sends so much later."""
    call = CreateRequest(
        to=PERSON, body="hello", media=(), status_callback=f"{simulated.hook.url}/status", messaging_service_sid=SERVICE,
        from_number="", validity_s=600, send_at_ms=int(time.time() * 1000) + ahead_ms,
    )  # fmt: skip
    taken = await made.create(call, lambda: None)
    assert isinstance(taken, CreateAccepted), taken
    return taken.sid


async def test_a_text_is_handed_over_ahead_of_its_time_and_can_be_canceled_until_then() -> None:
    async with simulating() as simulated:
        made = provider(simulated.url)
        sid = await scheduled(simulated, made, 3_600_000)
        assert (await made.cancel(sid), await made.cancel(sid)) == (
            CancelResult(done=True),
            CancelResult(done=True, code=30409),
        )
        assert (await simulated.http.get("/_sim/creates")).json()["count"] == 1
        await made.close()


async def test_one_that_was_sent_is_not_canceled() -> None:
    async with simulating(schedule_min_s=0.0) as simulated:
        made = provider(simulated.url)
        sid = await scheduled(simulated, made, 50)
        await eventually(lambda: "delivered" in simulated.hook.statuses)
        assert await made.cancel(sid) == CancelResult(done=False, code=30409)
        assert await made.cancel(SID) == CancelResult(done=False, code=20404)
        await made.close()


async def test_the_time_is_told_in_utc_and_never_earlier_than_asked_for() -> None:
    async with scripted(lambda _: http(201, json.dumps({"sid": SID, "status": "scheduled"}))) as server:
        made = provider(server.url)
        for at in (1_800_000_000_000, 1_800_000_000_001):
            call = CreateRequest(
                to=PERSON, body="hello", media=(), status_callback="", messaging_service_sid=SERVICE, from_number="",
                validity_s=600, send_at_ms=at,
            )  # fmt: skip
            await made.create(call, lambda: None)
        await made.close()
    forms = [dict(seen.form) for seen in server.seen]
    assert [form["SendAt"] for form in forms] == ["2027-01-15T08:00:00Z", "2027-01-15T08:00:01Z"]
    assert {form["ScheduleType"] for form in forms} == {"fixed"}


def error(status: int, code: int) -> bytes:
    return http(status, json.dumps({"code": code, "message": "no", "status": status}))


NO_WORD = {
    "throttled": error(429, 20429),
    "broken": error(500, 20500),
    "wrong credentials": error(401, 20003),
    "closed": b"",
    "hung": HANG,
    "200 in HTML": http(200, "<html>", kind="text/html"),
    "400 in HTML": http(400, "<html>", kind="text/html"),
    "a list": http(200, "[]"),
    "what nests too deep": http(400, '{"status":' + "[" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_WORD)
async def test_without_twilios_word_on_the_text_it_is_to_be_asked_again(name: str) -> None:
    async with scripted(lambda _: NO_WORD[name]) as server:
        made = provider(server.url, Timeouts(5.0, 5.0, 0.3))
        assert isinstance(await made.cancel(SID), CreateUnknown)
        await made.close()
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (http(200, '{"status": "canceled"}'), CancelResult(done=True, code=30409)),
        (http(200, '{"status": "sent"}'), CancelResult(done=False, code=30409)),
        (error(404, 20404), CancelResult(done=False, code=30409)),
        (error(503, 20503), CreateUnknown(why="http 503", http_status=503)),
        (b"", CreateUnknown(why="no answer")),
        (http(404, '{"code": 1' + "0" * 300 + "}"), CancelResult(done=False, code=30409)),
    ],
)
async def test_a_refusal_is_looked_into_for_a_cancel_before_may_have_lost_its_answer(
    answer: bytes, expected: Any
) -> None:
    def said(seen: RecordedCall) -> bytes:
        return answer if seen.line.startswith("GET") else error(400, 30409)

    async with scripted(said) as server:
        made = provider(server.url)
        assert await made.cancel(SID) == expected
        await made.close()
    # A connection that was closed unused is no answer: aiohttp asks for a GET again, once, never for a POST.
    assert _asked(server)[:2] == ["POST", "GET"] and _asked(server).count("POST") == 1


def _asked(server: ScriptedServer) -> list[str]:
    return [seen.line.partition(" ")[0] for seen in server.seen]
