"""The simulated Lookup v2 as the SDK asks it: line types by number, seed and mix, errors, what is counted as billed."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException

from app.simulator.config import SimulatorConfig
from app.simulator.line_types import LINE_TYPES, intelligence
from app.simulator.lookup import read
from app.simulator.scripts import RESERVED
from app.simulator.state import SimulatorState
from tests.support.simulated import ACCOUNT, PERSON, TOKEN, RunningSimulator, eventually, simulating

AT, PACKAGE = "+150055501", "line_type_intelligence"
HALF = {"mobile": 1.0, "landline": 1.0}


async def looked_up(sim: RunningSimulator, number: str, **given: Any) -> Any:
    sim.sdk.lookups.base_url = sim.url
    return await asyncio.to_thread(sim.sdk.lookups.v2.phone_numbers(number).fetch, **{"fields": PACKAGE, **given})


async def test_a_number_is_told_as_twilio_tells_it_and_only_the_line_type_is_billed() -> None:
    async with simulating() as sim:
        full, basic = await looked_up(sim, PERSON), await looked_up(sim, "(415) 555-0123", fields=None)
        british = await looked_up(sim, "07700 900123", fields=None, country_code="GB")
        counts = await sim.get("/_sim/calls")
    assert (full.phone_number, full.valid, full.country_code, full.calling_country_code) == (PERSON, True, "US", "1")
    assert (full.national_format, full.validation_errors) == ("(415) 555-0123", [])
    assert full.line_type_intelligence == {
        "error_code": None,
        "mobile_country_code": "001",
        "mobile_network_code": "01",
        "carrier_name": "Simulated Carrier",
        "type": "mobile",
    }
    assert (basic.phone_number, basic.line_type_intelligence) == (PERSON, None)
    assert (british.phone_number, british.country_code) == ("+447700900123", "GB")
    assert (counts["lookups"], counts["lookups_billed"]) == (3, 1)


@pytest.mark.parametrize(
    ("number", "line"),
    [(AT + "04", "landline"), (AT + "60", "nonFixedVoip"), ("+15005550009", "landline"), ("+18005550100", "tollFree")],
)
async def test_a_number_of_its_own_kind_is_told_as_such(number: str, line: str) -> None:
    async with simulating() as sim:
        assert (await looked_up(sim, number)).line_type_intelligence["type"] == line


async def test_a_number_without_coverage_has_an_error_inside_and_is_not_billed() -> None:
    async with simulating() as sim:
        told = (await looked_up(sim, AT + "61")).line_type_intelligence
        assert (told["type"], told["error_code"], told["carrier_name"]) == (None, 60600, None)
        assert not (await sim.get("/_sim/calls"))["lookups_billed"]


@pytest.mark.parametrize(("digits", "status", "code"), [("63", 429, 20429), ("64", 500, 20500), ("65", 503, 20503)])
async def test_a_lookup_fails_by_number(digits: str, status: int, code: int) -> None:
    async with simulating() as sim:
        with pytest.raises(TwilioRestException) as refused:
            await looked_up(sim, AT + digits)
        assert (refused.value.status, refused.value.code) == (status, code)
        assert (await sim.create(to=AT + digits)).status == "queued"


async def test_lookups_fail_by_rate_and_creates_do_not() -> None:
    async with simulating() as sim:
        await sim.post("/_sim/faults", lookup_500=1)
        with pytest.raises(TwilioRestException):
            await looked_up(sim, PERSON)
        assert (await sim.create()).status == "queued"
        assert (await sim.get("/_sim/calls"))["fault_lookup_500"] == 1


async def test_a_lookup_that_is_held_says_nothing_until_its_time() -> None:
    async with simulating() as sim:
        await sim.post("/_sim/faults", hold_ms=1)
        with pytest.raises(TwilioRestException) as refused:
            await looked_up(sim, AT + "62")
    assert refused.value.code == 20500


async def test_a_stranger_is_told_nothing() -> None:
    async with simulating() as sim:
        answer = await sim.http.get(f"/v2/PhoneNumbers/{PERSON}", auth=(ACCOUNT, "wrong"))
        assert (answer.status_code, answer.json()["code"]) == (401, 20003)
        assert (await sim.http.get(f"/v2/PhoneNumbers/{PERSON}", auth=(ACCOUNT, TOKEN))).status_code == 200


WRONG = {
    "abc": "NOT_A_NUMBER",
    "+1415": "TOO_SHORT",
    "5550123": "TOO_SHORT",
    "+141555501234": "TOO_LONG",
    "+9991234567": "INVALID_COUNTRY_CODE",
}


@pytest.mark.parametrize("number", WRONG)
async def test_what_is_no_number_is_invalid_and_has_no_line_type(number: str) -> None:
    async with simulating() as sim:
        told = await looked_up(sim, number)
    assert (told.valid, told.validation_errors, told.line_type_intelligence) == (False, [WRONG[number]], None)


@given(st.text(max_size=20), st.text(max_size=3))
def test_whatever_is_asked_for_is_valid_or_says_why_not(number: str, country: str) -> None:
    told = read(number, country)
    assert told["valid"] is (told["validation_errors"] == [])


def test_a_mix_gives_each_number_one_line_type_by_the_seed() -> None:
    numbers = [f"+1415555{n:04}" for n in range(1000)]

    def lines(seed: int) -> list[str]:
        known = SimulatorState(SimulatorConfig(account_sid=ACCOUNT, auth_token=TOKEN, seed=seed, lines=HALF))
        return [known.line_of(number) for number in numbers]

    assert lines(7) == lines(7) != lines(8)
    assert 400 < Counter(lines(7))["landline"] < 600


async def test_a_text_to_a_landline_of_the_mix_does_not_arrive() -> None:
    async with simulating(lines={"landline": 1.0}) as sim:
        await sim.create()
        await eventually(lambda: "undelivered" in sim.hook.statuses)
    assert [post.fields["ErrorCode"] for post in sim.hook.posted if "ErrorCode" in post.fields] == ["30006"]


@pytest.mark.parametrize("wrong", [{"lines": {"fax": 1}}, {"lines": {"mobile": 0}}, {"lines": {"error:x": 1}}])
async def test_a_mix_of_lines_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    async with simulating() as sim:
        assert (await sim.http.post("/_sim/config", json=wrong)).status_code == 400
        script = {"scripts": {PERSON: {"line": "fax"}}}
        assert (await sim.http.post("/_sim/config", json=script)).status_code == 400


def test_every_line_type_can_be_told_and_those_of_the_table_are_among_them() -> None:
    assert [intelligence(kind)["type"] for kind in LINE_TYPES] == list(LINE_TYPES)
    assert {script.line for script in RESERVED.values()} - {"", "error:60600"} <= set(LINE_TYPES)
