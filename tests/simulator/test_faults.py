"""Each fault does what it says, to whom it says, as often as it says, the same in every run."""

import asyncio
import time
from collections import Counter

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from tests.support.simulated import ACCOUNT, PERSON, SERVICE, TOKEN, eventually, simulating

OTHER = "+14155550124"


async def code_of(sim, **given) -> int:
    """201, or the code of the error."""
    try:
        await sim.create(**given)
    except TwilioRestException as error:
        return error.code
    return 201


async def accepted(sim) -> int:
    return (await sim.get("/_sim/creates?count"))["count"]


@pytest.mark.parametrize(
    ("fault", "code", "status", "taken"),
    [("throttle", 20429, 429, 0), ("error_500", 20500, 500, 0), ("accept_then_500", 20500, 500, 1)],
)
async def test_a_call_is_answered_with_an_error_and_taken_or_not(fault, code, status, taken):
    async with simulating() as sim:
        await sim.post("/_sim/faults", **{fault: 1})
        with pytest.raises(TwilioRestException) as failed:
            await sim.create()
        assert (failed.value.status, failed.value.code) == (status, code)
        assert await accepted(sim) == taken
        if taken:
            await eventually(lambda: sim.hook.statuses == ["sending", "sent", "delivered"])
        await sim.http.delete("/_sim/faults")
        assert await code_of(sim) == 201


@pytest.mark.parametrize(("fault", "taken"), [("accept_then_timeout", 1), ("timeout", 0)])
async def test_a_call_is_never_answered_and_taken_or_not(fault, taken):
    async with simulating() as sim:
        await sim.post("/_sim/faults", **{fault: 1})
        impatient = Client(ACCOUNT, TOKEN, http_client=TwilioHttpClient(timeout=0.3))
        impatient.api.base_url = sim.url
        with pytest.raises(requests.exceptions.ReadTimeout):
            await asyncio.to_thread(impatient.messages.create, PERSON, from_="+15005550006", body="x")
        impatient.http_client.session.close()
        assert await accepted(sim) == taken


async def test_a_call_held_too_long_ends_as_a_500():
    async with simulating() as sim:
        await sim.post("/_sim/faults", timeout=1, hold_ms=50)
        assert await code_of(sim) == 20500


async def test_a_refused_call_is_refused_even_if_it_was_to_be_taken_and_lost():
    async with simulating() as sim:
        await sim.post("/_sim/faults", accept_then_500=1)
        assert await code_of(sim, to="+15005550004") == 21610


async def test_slow_answers_are_slow():
    async with simulating() as sim:
        await sim.post("/_sim/faults", slow_ms=300)
        began = time.monotonic()
        await sim.create()
        assert time.monotonic() - began >= 0.3


async def test_a_duplicate_callback_comes_twice_a_lost_one_never():
    async with simulating() as sim:
        await sim.post("/_sim/faults", duplicate=1)
        await sim.create()
        await eventually(lambda: Counter(sim.hook.statuses) == {"sending": 2, "sent": 2, "delivered": 2})
        await sim.post("/_sim/faults", lost=1)
        lost = await sim.create()
        while (await asyncio.to_thread(sim.sdk.messages(lost.sid).fetch)).status != "delivered":
            pass
        await sim.http.delete("/_sim/faults")
        await sim.create(to=OTHER)
        await eventually(lambda: len(sim.hook.posted) == 9)
    assert lost.sid not in {post.fields["MessageSid"] for post in sim.hook.posted}


async def test_a_late_callback_comes_after_those_of_later_statuses():
    async with simulating() as sim:
        await sim.post("/_sim/faults", late=1, late_ms=400, callbacks=1)
        await sim.create()
        await eventually(lambda: len(sim.hook.posted) == 3)
    assert sim.hook.statuses[-1] == "sending"


async def test_reordered_callbacks_tell_the_same_statuses_in_another_order_and_the_truth_is_unchanged():
    async with simulating(step_ms=30) as sim:
        await sim.post("/_sim/faults", reorder=1)
        made = await sim.create(messaging_service_sid=SERVICE)
        await eventually(lambda: len(sim.hook.posted) == 4)
        kept = await asyncio.to_thread(sim.sdk.messages(made.sid).fetch)
    in_order = ["queued", "sending", "sent", "delivered"]
    assert sorted(sim.hook.statuses) == sorted(in_order) and sim.hook.statuses != in_order
    assert kept.status == "delivered"


async def test_the_first_callback_can_be_answered_before_the_create_is():
    async with simulating(step_ms=60_000) as sim:
        await sim.post("/_sim/faults", before_response=1)
        made = await sim.create(messaging_service_sid=SERVICE)
        assert [(post.fields["MessageSid"], post.fields["MessageStatus"]) for post in sim.hook.posted] == [
            (made.sid, "queued")
        ]
    assert made.status == "accepted"


async def test_a_filtered_text_is_undelivered_with_30007():
    async with simulating() as sim:
        await sim.post("/_sim/faults", filtered=1)
        await sim.create()
        await eventually(lambda: "undelivered" in sim.hook.statuses)
    assert [p.fields["ErrorCode"] for p in sim.hook.posted if "ErrorCode" in p.fields] == ["30007"]


async def test_a_full_queue_refuses_a_number_and_fails_a_text_of_a_service_later():
    async with simulating() as sim:
        await sim.post("/_sim/faults", overflow=1)
        assert await code_of(sim) == 21611
        assert await code_of(sim, messaging_service_sid=SERVICE) == 201
        await eventually(lambda: sim.hook.statuses == ["failed"])
    assert sim.hook.posted[0].fields["ErrorCode"] == "30001"


async def test_faults_strike_only_the_numbers_named_and_only_so_many_calls():
    async with simulating() as sim:
        await sim.post("/_sim/faults", throttle=1, to=[PERSON], calls=2)
        codes = [await code_of(sim, to=to) for to in (OTHER, PERSON, PERSON, PERSON, OTHER)]
        counts = await sim.get("/_sim/calls")
    assert codes == [201, 20429, 20429, 201, 201]
    assert (counts["fault_throttle"], counts["refused_20429"], counts["accepted"]) == (2, 2, 3)


async def test_the_same_seed_strikes_the_same_calls_whatever_the_order_of_numbers():
    async def struck(seed: int, order: list[str]) -> dict[str, list[int]]:
        async with simulating(seed=seed) as sim:
            await sim.post("/_sim/faults", throttle=0.5)
            found: dict[str, list[int]] = {}
            for to in order:
                found.setdefault(to, []).append(await code_of(sim, to=to, status_callback=None))
            return found

    numbers = [f"+121255501{n:02d}" for n in range(8)] * 4
    first, turned, other = await struck(7, numbers), await struck(7, numbers[::-1]), await struck(8, numbers)
    assert first == turned != other
    share = sum(code == 20429 for codes in first.values() for code in codes) / len(numbers)
    assert 0.2 < share < 0.8


@pytest.mark.parametrize("wrong", [{"throtle": 1}, {"throttle": 1.5}, {"lost": -0.1}, {"calls": -1}, {"throttle": "x"}])
async def test_faults_that_make_no_sense_are_refused_and_leave_the_faults_as_they_are(wrong):
    async with simulating() as sim:
        before = await sim.post("/_sim/faults", lost=0.5)
        assert (await sim.http.post("/_sim/faults", json=wrong)).status_code == 400
        assert await sim.get("/_sim/faults") == before
        assert before["lost"] == 0.5
