"""The lister against a real list: doubts resolved, lost reports found, a lost STOP found, and how many pages it takes."""

import time

import msgspec
import pytest

from app.config.tenants import LaneConfig
from app.dev.broker import free_port
from app.domain.model.inputs import MessagesListed
from app.domain.model.vocabulary import DeliveryStatus, Intent, OutcomeWord
from app.domain.rules.schedule import looks
from tests.support.looked import House, housed
from tests.support.simulated import NUMBER, PERSON, SERVICE, eventually

BODY = "Build 742 deployed."
OTHER = "+14155550124"


def now_ms() -> int:
    return int(time.time() * 1000)


async def delivered(house: House, to: str = PERSON, **given: str) -> str:
    """A text at Twilio, delivered, its callbacks gone elsewhere; its SID."""
    before = len(house.simulated.hook.statuses)
    made = await house.simulated.create(to=to, **{"body": BODY, **given})
    await eventually(lambda: "delivered" in house.simulated.hook.statuses[before:])
    return made.sid


async def test_p2_a_call_without_an_answer_that_twilio_took_is_found_and_bound() -> None:
    async with housed() as house:
        sid = await delivered(house)
        message = house.sends(PERSON, BODY)
        await house.looks.round()
    assert house.message(message).word is OutcomeWord.DELIVERED
    assert house.message(message).attempts[0].sid == sid


async def test_a_call_that_twilio_never_took_stays_in_doubt_and_the_look_is_made() -> None:
    async with housed() as house:
        await delivered(house, body="Another text.")
        message = house.sends(PERSON, BODY)
        await house.looks.round()
        (attempt,) = house.message(message).attempts
        assert (attempt.sid, attempt.looks) == ("", 1) and house.message(message).word is None
        await house.looks.round()
        assert house.pages.asked == 1


async def test_p2_the_same_text_twice_at_twilio_and_once_in_doubt_is_nobodys() -> None:
    async with housed() as house:
        await delivered(house)
        await delivered(house)
        message = house.sends(PERSON, BODY)
        await house.looks.round()
        assert house.message(message).attempts[0].sid == ""


async def test_through_a_service_the_lane_is_told_by_the_service_whatever_number_it_chose() -> None:
    lanes = {"main": LaneConfig(messaging_service_sid=SERVICE), "bare": LaneConfig(from_number=NUMBER)}
    async with housed(tenant={"lanes": lanes}) as house:
        sid = await delivered(house, messaging_service_sid=SERVICE)
        message = house.sends(PERSON, BODY)
        await house.looks.round()
        assert house.message(message).attempts[0].sid == sid


@pytest.mark.parametrize(("pinned", "found"), [(NUMBER, True), ("+14155550177", False)])
async def test_on_a_pinned_lane_it_is_told_by_the_sender_too(pinned: str, found: bool) -> None:
    lanes = {"main": LaneConfig(messaging_service_sid=SERVICE, from_number=pinned, pinned=True)}
    async with housed(tenant={"lanes": lanes}) as house:
        sid = await delivered(house, messaging_service_sid=SERVICE)
        message = house.sends(PERSON, BODY)
        await house.looks.round()
        assert house.message(message).attempts[0].sid == (sid if found else "")


async def test_one_of_another_sender_is_not_taken_for_it() -> None:
    async with housed(
        tenant={"lanes": {"main": LaneConfig(from_number="+15005550006"), "b": LaneConfig(from_number=OTHER)}}
    ) as house:
        await delivered(house, from_=OTHER)
        message = house.sends(PERSON, BODY)
        await house.looks.round()
        assert house.message(message).attempts[0].sid == ""


async def test_a_lost_report_is_found_by_one_page_for_many_messages() -> None:
    people = [f"+1415555{n:04d}" for n in range(100, 112)]
    async with housed(few=3) as house:
        messages = [house.sends(person, BODY, await delivered(house, to=person)) for person in people]
        await house.looks.round()
        assert {house.message(message).word for message in messages} == {OutcomeWord.DELIVERED}
        assert house.pages.asked == 1


async def test_what_still_waits_in_twilios_queue_is_asked_for_by_recipient() -> None:
    people = [f"+1415555{n:04d}" for n in range(100, 106)]
    async with housed(few=3) as house:
        messages = [house.sends(person, BODY, await delivered(house, to=person)) for person in people[:-1]]
        await house.simulated.post("/_sim/config", step_ms=60_000.0)
        waiting = (await house.simulated.create(to=people[-1], body=BODY)).sid
        messages.append(house.sends(people[-1], BODY, waiting))
        await house.looks.round()
        assert [house.message(message).word for message in messages] == [OutcomeWord.DELIVERED] * 5 + [None]
        assert house.message(messages[-1]).attempts[0].progress is DeliveryStatus.QUEUED
        assert house.pages.asked == 2


async def test_a_doubt_among_many_is_asked_for_by_recipient_so_that_its_rivals_are_seen() -> None:
    people = [f"+1415555{n:04d}" for n in range(100, 106)]
    async with housed(few=3) as house:
        for person in people:
            house.sends(person, BODY, await delivered(house, to=person))
        sid = await delivered(house)
        message = house.sends(PERSON, BODY)
        await house.looks.round()
        assert house.message(message).attempts[0].sid == sid and house.pages.asked == 2


async def test_when_twilio_is_away_nothing_is_written_and_the_look_stays_due() -> None:
    async with housed(url=f"http://127.0.0.1:{free_port()}") as house:
        message = house.sends(PERSON, BODY)
        await house.looks.round()
        assert await house.inbox.look(None) is None
        assert house.outputs == [] and house.pages.asked == 2
        assert looks(house.message(message)) and house.message(message).attempts[0].looks == 0


async def test_a_report_that_came_meanwhile_makes_the_look_void() -> None:
    async with housed() as house:
        house.looks.want(0, f"{house.contact(PERSON)}-{'0' * 20}")
        await house.looks.round()
        assert house.pages.asked == 0


async def test_p8_what_goes_onto_the_log_holds_neither_number_nor_text() -> None:
    async with housed() as house:
        await delivered(house)
        await delivered(house, body="Another text.")
        house.sends(PERSON, BODY)
        house.simulated.hook.answers = [(503, "", b"")]
        await house.simulated.post("/_sim/inbound", **{"from": PERSON, "body": "Where is it?"})
        await house.looks.round()
        await house.inbox.look(None)
    whole = b"".join((output.key or b"") + (output.value or b"") for output in house.outputs)
    for canary in (PERSON, PERSON[1:], NUMBER[1:], BODY, "Another text", "Where is it"):
        assert canary.encode() not in whole


async def test_only_texts_since_the_claim_go_onto_the_log() -> None:
    async with housed() as house:
        await delivered(house)
        house.sends(PERSON, BODY, "SM" + "0" * 32, ago_ms=-40_000, look_after_ms=-60_000)
        await house.looks.round()
    (output,) = house.outputs
    assert msgspec.json.decode(output.value or b"", type=MessagesListed).texts == ()


async def texts_in(house: House, body: str, to: str = NUMBER, lost: bool = True) -> None:
    house.simulated.hook.answers = [(503, "", b"")] * 9 if lost else []
    await house.simulated.post("/_sim/inbound", **{"from": PERSON, "to": to, "body": body})
    house.simulated.hook.answers = []


async def test_p3_a_stop_whose_webhook_was_lost_is_found_and_closes() -> None:
    async with housed() as house:
        await texts_in(house, "STOP")
        began = now_ms()
        until = await house.inbox.look(None)
        log = house.people[house.contact(PERSON)]
    assert log.contact is not None and log.contact.consent.opted_out
    assert began - 2000 <= log.contact.consent.stopped_received_ms <= began + 1000
    assert house.looked == [until] and until is not None and until >= began


async def test_each_text_is_written_once_and_the_next_look_begins_where_the_last_ended() -> None:
    async with housed() as house:
        await texts_in(house, "Thanks!")
        until = await house.inbox.look(None)
        await house.inbox.look(until)
        assert len([output for output in house.outputs if output.topic == "contacts"]) == 1
        await texts_in(house, "Again!")
        await house.inbox.look(until)
        assert len([output for output in house.outputs if output.topic == "contacts"]) == 2


async def test_with_a_service_every_text_that_came_in_is_ours_and_what_went_out_is_not() -> None:
    async with housed(tenant={"lanes": {"main": LaneConfig(messaging_service_sid=SERVICE)}}) as house:
        await delivered(house)
        await texts_in(house, "STOP", to="+15005550009")
        await house.inbox.look(None)
        assert [log.contact.consent.opted_out for log in house.people.values() if log.contact] == [True]


async def test_p7_of_a_shared_account_only_what_came_to_this_tenants_numbers_is_taken() -> None:
    lanes = {"main": LaneConfig(from_number=NUMBER), "service": LaneConfig(messaging_service_sid=SERVICE)}
    async with housed(shared=True, tenant={"lanes": lanes}) as house:
        await texts_in(house, "STOP", to="+15005550009")
        await house.inbox.look(None)
        assert house.people == {}
        await texts_in(house, "STOP", to=NUMBER)
        await house.inbox.look(None)
        assert list(house.people) == [house.contact(PERSON)]


async def test_a_tenants_own_stop_word_counts_on_the_list_too() -> None:
    async with housed(tenant={"stop_words": ("ARRET",)}) as house:
        await texts_in(house, "Arret")
        await house.inbox.look(None)
        (log,) = house.people.values()
    assert log.contact is not None and log.contact.consent.opted_out
    assert Intent.STOP.value in (house.outputs[0].value or b"").decode()
