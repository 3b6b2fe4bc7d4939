"""Who may send from the simulated account, and which number of a service does, once the account is described."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException

from tests.support.simulated import NUMBER, PERSON, SERVICE, RunningSimulator, eventually, simulating

MAIN, SECOND, PLAIN, MUTE, STRANGE = (f"+1415555010{n}" for n in range(5))
BRITON, PICTURE = "+447700900123", ["https://example.com/a.png"]
EMPTY, SILENT, NAMED, NO_PICTURES, UNKNOWN = (f"MG{n:032}" for n in range(1, 6))
NUMBERS = [
    {"phone_number": MAIN},
    {"phone_number": SECOND},
    {"phone_number": PLAIN, "mms": False},
    {"phone_number": MUTE, "sms": False, "mms": False},
]


def service(sid: str, **given: Any) -> dict[str, Any]:
    return {"friendly_name": sid[-3:], "sid": sid, **given}


SERVICES = [
    service(SERVICE, numbers=[MAIN, SECOND], short_codes=["12345"]),
    service(EMPTY),
    service(SILENT, numbers=[MUTE]),
    service(NAMED, alpha_senders=["Shop"]),
    service(NO_PICTURES, numbers=[PLAIN], mms_converter=False),
]


@asynccontextmanager
async def described(*services: dict[str, Any], **seed: Any) -> AsyncIterator[RunningSimulator]:
    async with simulating() as sim:
        sim.sdk.messaging.base_url = sim.url
        await sim.post("/_sim/account", numbers=NUMBERS, services=services or SERVICES, **seed)
        yield sim


async def code(sim: RunningSimulator, **given: Any) -> int:
    """201, or the code of the refusal."""
    try:
        await sim.create(**given)
    except TwilioRestException as refused:
        return int(refused.code)
    return 201


async def froms(sim: RunningSimulator) -> list[str]:
    return [create["from"] for create in (await sim.get("/_sim/creates"))["creates"]]


def by(sid: str, **given: Any) -> dict[str, Any]:
    return {"messaging_service_sid": sid, **given}


SENDS = [
    ({"from_": MAIN}, 201),
    ({"from_": f"whatsapp:{MAIN}", "to": f"whatsapp:{PERSON}"}, 201),
    ({"from_": "12345"}, 201),
    ({"from_": "54321"}, 21660),
    ({"from_": STRANGE}, 21660),
    ({"from_": NUMBER}, 21660),
    ({"from_": MUTE}, 21606),
    ({"from_": PLAIN}, 201),
    ({"from_": PLAIN, "media_url": PICTURE}, 21621),
    ({"from_": "Shop"}, 21612),
    ({"from_": "Shop", "to": BRITON}, 201),
    (by(SERVICE), 201),
    (by(SERVICE, media_url=PICTURE), 201),
    (by(SERVICE, from_=SECOND), 201),
    (by(SERVICE, from_="12345"), 201),
    (by(SERVICE, from_=PLAIN), 21606),
    (by(SERVICE, from_=STRANGE), 21660),
    (by(UNKNOWN), 21701),
    (by(EMPTY), 21704),
    (by(SILENT), 21703),
    (by(SILENT, from_=MUTE), 21606),
    (by(NAMED), 21703),
    (by(NAMED, to=BRITON), 201),
    (by(NO_PICTURES), 201),
    (by(NO_PICTURES, media_url=PICTURE), 21703),
]  # fmt: skip


async def test_an_account_that_is_described_sends_only_by_what_it_holds() -> None:
    async with described() as sim:
        assert [(given, await code(sim, **given)) for given, _ in SENDS] == SENDS


async def test_an_account_that_nobody_described_sends_by_anything_and_so_again_when_it_is_forgotten() -> None:
    async with simulating() as sim:
        assert (await sim.get("/_sim/account"))["described"] is False
        assert [await code(sim, **given) for given in ({"from_": STRANGE}, by(UNKNOWN))] == [201, 201]
        await sim.post("/_sim/account", type="Trial")
        assert await code(sim, **by(UNKNOWN)) == 201
        await sim.post("/_sim/account", services=SERVICES[1:2])
        assert await code(sim, **by(UNKNOWN)) == 21701
        await sim.post("/_sim/reset")
        assert await code(sim, **by(UNKNOWN)) == 21701
        await sim.http.delete("/_sim/account")
        assert await code(sim, **by(UNKNOWN)) == 201


async def test_a_service_made_by_the_api_sends_nothing_until_a_number_is_attached() -> None:
    async with simulating() as sim:
        sim.sdk.messaging.base_url = sim.url

        def make() -> tuple[Any, str]:
            made = sim.sdk.messaging.v1.services.create(friendly_name="main")
            return made, sim.sdk.incoming_phone_numbers.list()[0].sid

        made, number = await asyncio.to_thread(make)
        assert await code(sim, **by(made.sid)) == 21704
        await asyncio.to_thread(made.phone_numbers.create, number)
        assert await code(sim, **by(made.sid)) == 201
        assert await froms(sim) == [NUMBER]


async def test_numbers_that_go_leave_their_services() -> None:
    async with described() as sim:
        await sim.post("/_sim/account", numbers=[{"phone_number": STRANGE}])
        listed = await asyncio.to_thread(sim.sdk.messaging.v1.services(SERVICE).phone_numbers.list)
        assert listed == [] and await code(sim, **by(NO_PICTURES)) == 21704


async def test_a_person_is_written_to_by_the_same_number_even_when_the_service_has_more() -> None:
    people = [f"+1212555{n:04}" for n in range(20)]
    async with described(service(SERVICE, numbers=[MAIN])) as sim:
        await sim.create(to=people[0], messaging_service_sid=SERVICE)
        await sim.post("/_sim/account", numbers=NUMBERS, services=[service(SERVICE, numbers=[MAIN, SECOND])])
        for person in people * 2:
            await sim.create(to=person, messaging_service_sid=SERVICE)
        creates = (await sim.get("/_sim/creates"))["creates"]
    senders: dict[str, set[str]] = {}
    for create in creates:
        senders.setdefault(create["to"], set()).add(create["from"])
    assert senders[people[0]] == {MAIN}
    assert {len(used) for used in senders.values()} == {1} and set.union(*senders.values()) == {MAIN, SECOND}


async def test_without_sticky_sender_the_numbers_take_turns() -> None:
    async with described(service(SERVICE, numbers=[MAIN, SECOND], sticky_sender=False)) as sim:
        for _ in range(6):
            await sim.create(messaging_service_sid=SERVICE)
        assert Counter(await froms(sim)) == {MAIN: 3, SECOND: 3}


@pytest.mark.parametrize(("geomatch", "expected"), [(True, {"+12125550100"}), (False, {MAIN, "+12125550100"})])
async def test_a_number_of_the_persons_area_code_is_preferred(geomatch: bool, expected: set[str]) -> None:
    numbers = [{"phone_number": MAIN}, {"phone_number": "+12125550100"}]
    made = service(SERVICE, numbers=[MAIN, "+12125550100"], area_code_geomatch=geomatch)
    async with simulating() as sim:
        await sim.post("/_sim/account", numbers=numbers, services=[made])
        for n in range(20):
            await sim.create(to=f"+1212555{n:04}", messaging_service_sid=SERVICE)
        assert {*await froms(sim)} == expected


async def counted(sim: RunningSimulator, **given: Any) -> str:
    made = await sim.create(**given)
    # Until its first callback a text of a service has no sender, and so no segments.
    await eventually(lambda: [post for post in sim.hook.posted if post.fields["MessageSid"] == made.sid])
    return str((await asyncio.to_thread(sim.sdk.messages(made.sid).fetch)).num_segments)


async def test_smart_encoding_counts_what_is_sent_by_service_or_by_text() -> None:
    quoted = "\u201c" + "x" * 100 + "\u201d"
    async with described(SERVICES[0], service(NO_PICTURES, numbers=[PLAIN], smart_encoding=False)) as sim:
        found = {
            "by service": await counted(sim, **by(SERVICE, body=quoted)),
            "off by service": await counted(sim, **by(NO_PICTURES, body=quoted)),
            "off by text": await counted(sim, **by(SERVICE, body=quoted, smart_encoded=False)),
            "by text": await counted(sim, from_=MAIN, body=quoted, smart_encoded=True),
            "no service": await counted(sim, from_=MAIN, body=quoted),
            "longer": await counted(sim, **by(SERVICE, body="\u00a0" * 81)),
        }
    assert found == {
        "by service": "1",
        "off by service": "2",
        "off by text": "2",
        "by text": "1",
        "no service": "2",
        "longer": "2",
    }


async def test_a_text_without_a_callback_or_validity_has_those_of_its_service() -> None:
    async with simulating() as sim:
        made = service(SERVICE, numbers=[MAIN], status_callback=f"{sim.hook.url}/of-service", validity_period=1)
        await sim.post("/_sim/account", numbers=NUMBERS, services=[made])
        await sim.post("/_sim/config", mps=0.5)
        for _ in range(2):
            await sim.create(messaging_service_sid=SERVICE, status_callback=None)
        await sim.create(messaging_service_sid=SERVICE)
        await eventually(lambda: {"delivered", "failed"} <= {*sim.hook.statuses})
        await eventually(lambda: any(post.path == "/status?m=1" for post in sim.hook.posted))
    failed = [post for post in sim.hook.posted if post.fields["MessageStatus"] == "failed"]
    assert {post.fields["ErrorCode"] for post in failed} == {"30036"}
    assert "/of-service" in {post.path for post in failed}


async def test_stop_to_a_number_is_stop_to_the_service_that_it_is_in() -> None:
    async with described() as sim:
        await sim.post("/_sim/inbound", **{"from": PERSON, "to": SECOND, "body": "STOP"})
        sends = ({"from_": MAIN}, by(SERVICE), {"from_": PLAIN}, by(NO_PICTURES))
        assert [await code(sim, **given) for given in sends] == [21610, 21610, 201, 201]
    assert sim.hook.posted[0].fields["MessagingServiceSid"] == SERVICE


@pytest.mark.parametrize("status", ["suspended", "closed"])
async def test_an_account_that_is_not_active_sends_nothing(status: str) -> None:
    async with described(status=status) as sim:
        assert await code(sim, from_=MAIN) == 20005
