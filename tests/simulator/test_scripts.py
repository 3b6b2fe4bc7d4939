"""Numbers that misbehave, the mix of a country, and what else can go wrong with a call."""

import asyncio
import time

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException, TwilioServiceException

from app.simulator.config import SimulatorConfig
from app.simulator.faults import FaultConfig
from app.simulator.scripts import RESERVED
from app.simulator.seeded_chance import FaultSampler
from tests.support.simulated import ACCOUNT, NUMBER, PERSON, SERVICE, TOKEN, RunningSimulator, eventually, simulating

AT = "+150055501"


async def raw(sim: RunningSimulator, to: str, **more: str) -> httpx.Response:
    """A create without the SDK."""
    path, form = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", {"To": to, "From": NUMBER, "Body": "x", **more}
    return await sim.http.post(path, data=form, auth=(ACCOUNT, TOKEN))


@pytest.mark.parametrize(
    ("digits", "statuses", "code"),
    [
        ("03", ["sending", "sent", "undelivered"], "30005"),
        ("07", ["failed"], "30001"),
        ("10", ["sending", "sent"], None),
        ("13", ["sending", "sent", "undelivered", "delivered"], "30003"),
        ("14", ["sending", "sent", "delivered", "undelivered"], "30003"),
        ("40", ["sending", "sending", "sent", "sent", "delivered", "delivered"], None),
    ],
)
async def test_a_number_of_the_table_ends_as_the_table_says_whatever_the_mix_is(digits, statuses, code):
    async with simulating(mix={"failed": 1}, step_ms=10) as sim:
        made = await sim.create(to=AT + digits)
        await eventually(lambda: len(sim.hook.posted) == len(statuses))
        kept = await asyncio.to_thread(sim.sdk.messages(made.sid).fetch)
    assert sorted(sim.hook.statuses) == sorted(statuses)
    codes = {post.fields["MessageStatus"]: post.fields.get("ErrorCode") for post in sim.hook.posted}
    assert {codes[status] for status in codes if status not in ("failed", "undelivered")} <= {None}
    assert {codes[status] for status in codes if status in ("failed", "undelivered")} == ({code} if code else set())
    assert kept.error_code == (int(code) if code and kept.status != "delivered" else None)


ANSWERS = [
    ("20", [429, 429], 0),
    ("21", [429, 201], 1),
    ("22", [500], 0),
    ("23", [500], 1),
    ("26", [503], 0),
    ("27", [503], 1),
    ("28", [502], 0),
    ("29", [502], 1),
    ("30", [201], 1),
    ("32", [400, 201], 1),
    ("00", [201], 1),
]


async def test_calls_to_numbers_of_the_table_are_answered_and_taken_as_the_table_says():
    async with simulating() as sim:
        for digits, statuses, taken in ANSWERS:
            before = (await sim.get("/_sim/creates?count"))["count"]
            answers = [(await raw(sim, AT + digits)).status_code for _ in statuses]
            accepted = (await sim.get("/_sim/creates?count"))["count"] - before
            assert (digits, answers, accepted) == (digits, statuses, taken)


async def test_a_proxys_page_and_half_of_an_answer_are_no_json():
    async with simulating() as sim:
        page, half = await raw(sim, AT + "28"), await raw(sim, AT + "30")
    assert (page.headers["content-type"].partition(";")[0], page.text[:6]) == ("text/html", "<html>")
    assert half.headers["content-type"] == "application/json" and half.text.startswith('{"account_sid"')
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        half.json()


async def test_a_text_with_media_ends_by_its_own_word_and_a_stuck_one_never_moves():
    async with simulating() as sim:
        await sim.create(to=AT + "15", media_url=["https://example.com/1.png"])
        await eventually(lambda: [post for post in sim.hook.posted if post.fields.get("ErrorCode") == "30011"])
        stuck, other = await sim.create(to=AT + "12"), await sim.create(to=AT + "15")
        await eventually(lambda: "delivered" in sim.hook.statuses)
        kept = await asyncio.to_thread(sim.sdk.messages(stuck.sid).fetch)
    delivered = {post.fields["MessageSid"] for post in sim.hook.posted if post.fields["MessageStatus"] == "delivered"}
    assert kept.status == "queued" and delivered == {other.sid}


async def test_a_person_of_the_table_says_stop_when_a_text_arrives():
    async with simulating() as sim:
        await sim.create(to=AT + "50", messaging_service_sid=SERVICE)
        await eventually(lambda: [post for post in sim.hook.posted if post.fields.get("Body") == "STOP"])
        assert (await raw(sim, AT + "50", MessagingServiceSid=SERVICE)).json()["code"] == 21610
    (said,) = [post for post in sim.hook.posted if "Body" in post.fields]
    assert (said.path, said.fields["From"], said.fields["MessagingServiceSid"]) == ("/inbound", AT + "50", SERVICE)


async def test_a_script_of_ones_own_holds_so_many_times_and_the_table_can_be_switched_off():
    async with simulating(scripts={PERSON: {"refusal": 30034, "times": 2}}) as sim:
        assert [(await raw(sim, PERSON)).status_code for _ in range(3)] == [400, 400, 201]
        told = await sim.get("/_sim/numbers")
        assert told[PERSON]["times"] == 2 and told.keys() == {*RESERVED, PERSON}
        await sim.post("/_sim/config", reserved=False)
        assert (await raw(sim, AT + "20")).status_code == 201


@pytest.mark.parametrize("wrong", [{"end": "lost"}, {"faults": ["throtle"]}, {"times": -1}, {"x": 1}])
async def test_a_script_that_makes_no_sense_is_refused(wrong):
    async with simulating() as sim:
        assert (await sim.http.post("/_sim/config", json={"scripts": {PERSON: wrong}})).status_code == 400


def test_the_longest_prefix_chooses_the_mix_of_a_country():
    config = SimulatorConfig(
        account_sid=ACCOUNT,
        auth_token=TOKEN,
        countries={"+1": {"silent": 1}, "+1242": {"failed:30006": 1}, "+44": {"undelivered:30003": 1}},
    )
    mixes = [config.mix_of(to) for to in ("+12125550101", "+12425550101", "+447700900123", "+33612345678")]
    assert mixes == [{"silent": 1}, {"failed:30006": 1}, {"undelivered:30003": 1}, config.mix]


async def test_numbers_of_a_country_end_by_its_mix():
    async with simulating(countries={"+1242": {"failed:30006": 1}}) as sim:
        await sim.create(to="+12425550101")
        await eventually(lambda: sim.hook.statuses == ["failed"])
    assert sim.hook.posted[0].fields["ErrorCode"] == "30006"


async def test_errors_can_be_problem_json_which_the_sdk_raises_as_another_class():
    async with simulating(errors="problem") as sim:
        with pytest.raises(TwilioServiceException) as refused:
            await sim.create(to="+15005550001")
        told = await raw(sim, "+15005550001")
    assert (refused.value.code, refused.value.status) == (21211, 400)
    assert told.headers["content-type"] == "application/problem+json"
    assert told.json() == {
        "type": "https://www.twilio.com/docs/errors/21211",
        "title": "The 'To' number is not a valid phone number",
        "detail": "The 'To' number is not a valid phone number",
        "status": 400,
        "code": 21211,
    }


async def test_a_throttled_call_names_a_wait_only_if_it_is_told_to():
    async with simulating() as sim:
        plain = await raw(sim, AT + "20")
        await sim.post("/_sim/faults", throttle=1, retry_after_s=3)
        told = await raw(sim, PERSON)
    assert (plain.status_code, plain.json()["code"], plain.headers.get("retry-after")) == (429, 20429, None)
    assert (told.status_code, told.headers["retry-after"]) == (429, "3")


async def test_more_calls_at_once_than_allowed_are_refused_and_never_taken():
    async with simulating(concurrency=2) as sim:
        held = [asyncio.create_task(raw(sim, AT + "24")) for _ in range(2)]
        while (await sim.get("/_sim/calls")).get("calls") != 2:
            pass
        refused = await raw(sim, PERSON)
        counts = await sim.get("/_sim/calls")
        for call in held:
            call.cancel()
        while (taken := await raw(sim, PERSON)).status_code == 429:
            pass
    assert (refused.status_code, refused.headers["twilio-concurrent-requests"]) == (429, "3")
    assert (counts.get("accepted", 0), counts["refused_20429"], counts["calls"]) == (0, 1, 3)
    assert taken.status_code == 201 and int(taken.headers["twilio-concurrent-requests"]) <= 2
    assert taken.headers["twilio-request-id"].startswith("RQ") and float(taken.headers["twilio-request-duration"]) >= 0


async def test_a_slow_number_is_slow_and_others_are_not():
    async with simulating(scripts={PERSON: {"faults": ["slow"], "ms": 400}}) as sim:
        began = time.monotonic()
        await raw(sim, PERSON)
        slow = time.monotonic() - began
    assert slow >= 0.4


def test_what_was_asked_is_forgotten_before_it_fills_the_memory():
    strikes = FaultSampler(7, FaultConfig(lost=0.5), {}, most=10)
    kept = []
    for n in range(100):
        strikes.strikes("lost", f"+1{n}")
        kept.append(len(strikes._asked))
    assert max(kept) == 10


async def test_a_scripted_code_comes_with_the_http_status_that_twilio_gives_it():
    async with simulating(scripts={PERSON: {"refusal": 20003}}) as sim:
        with pytest.raises(TwilioRestException) as refused:
            await sim.create()
    assert (refused.value.status, refused.value.code) == (401, 20003)
