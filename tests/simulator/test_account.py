"""The simulated account as the SDK reads and writes it: numbers, Messaging Services, campaigns, verifications."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.support.simulated import ACCOUNT, NUMBER, SERVICE, RunningSimulator, simulating

FIRST, SECOND = "+14155550100", "+14155550101"


@asynccontextmanager
async def holding(**seed: Any) -> AsyncIterator[tuple[RunningSimulator, Client]]:
    """With an account as seeded, and the SDK pointed at it for every product."""
    async with simulating() as simulated:
        simulated.sdk.messaging.base_url = simulated.url
        await simulated.post("/_sim/account", **seed)
        yield simulated, simulated.sdk


def refused(call: Any, *given: Any) -> int:
    with pytest.raises(TwilioRestException) as caught:
        call(*given)
    return int(caught.value.code)


async def test_a_service_is_made_read_altered_listed_and_deleted() -> None:
    async with holding() as (_, sdk):

        def life() -> None:
            made = sdk.messaging.v1.services.create(
                friendly_name="main", sticky_sender=False, status_callback="https://a/s"
            )
            assert (made.sticky_sender, made.smart_encoding, made.inbound_request_url) == (False, True, None)
            altered = made.update(inbound_request_url="https://a/i", validity_period=600)
            assert (altered.inbound_request_url, altered.validity_period, altered.status_callback) == (
                "https://a/i",
                600,
                "https://a/s",
            )
            assert [service.sid for service in sdk.messaging.v1.services.list()] == [made.sid]
            assert made.delete() and sdk.messaging.v1.services.list() == []
            assert refused(sdk.messaging.v1.services(made.sid).fetch) == 20404

        await asyncio.to_thread(life)


async def test_a_service_that_is_there_from_the_start_holds_the_senders_and_is_in_order() -> None:
    urls = {"inbound_url": "http://127.0.0.1:1/i#rc=5", "fallback_url": "http://127.0.0.1:1/f#rc=5"}
    async with simulating(service=SERVICE, **urls) as simulated:
        simulated.sdk.messaging.base_url = simulated.url

        def look() -> None:
            [service] = simulated.sdk.messaging.v1.services.list()
            held = (service.sid, service.inbound_request_url, service.fallback_url)
            assert held == (SERVICE, urls["inbound_url"], urls["fallback_url"])
            assert [number.phone_number for number in service.phone_numbers.list()] == [NUMBER]
            assert [campaign.campaign_status for campaign in service.us_app_to_person.list()] == ["VERIFIED"]

        await asyncio.to_thread(look)


async def test_a_number_is_in_one_service_and_in_it_once() -> None:
    services = [{"friendly_name": "one", "numbers": [FIRST]}, {"friendly_name": "two"}]
    async with holding(numbers=[{"phone_number": FIRST}], services=services) as (_, sdk):

        def move() -> None:
            [number] = sdk.incoming_phone_numbers.list(phone_number=FIRST)
            one, two = sdk.messaging.v1.services.list()
            assert refused(one.phone_numbers.create, number.sid) == 21710
            assert refused(two.phone_numbers.create, number.sid) == 21712
            assert one.phone_numbers(number.sid).delete()
            assert two.phone_numbers.create(number.sid).phone_number == FIRST
            assert [len(service.phone_numbers.list()) for service in (one, two)] == [0, 1]

        await asyncio.to_thread(move)


async def test_lists_come_in_pages_of_either_form_of_the_api() -> None:
    numbers = [{"phone_number": f"+141555501{n:02}"} for n in range(5)]
    services = [{"friendly_name": str(n)} for n in range(5)]
    async with holding(numbers=numbers, services=services) as (_, sdk):

        def pages() -> None:
            assert [n.phone_number for n in sdk.incoming_phone_numbers.list(page_size=2)] == [
                n["phone_number"] for n in numbers
            ]
            assert [s.friendly_name for s in sdk.messaging.v1.services.list(page_size=2)] == list("01234")

        await asyncio.to_thread(pages)


async def test_a_numbers_webhooks_are_altered_and_what_it_is_able_to_do_is_told() -> None:
    async with holding(numbers=[{"phone_number": FIRST, "mms": False}]) as (_, sdk):

        def alter() -> None:
            [number] = sdk.incoming_phone_numbers.list()
            number.update(sms_url="https://a/i", sms_fallback_url="https://b/f")
            again = sdk.incoming_phone_numbers(number.sid).fetch()
            assert (again.sms_url, again.sms_fallback_url) == ("https://a/i", "https://b/f")
            assert (again.capabilities["sms"], again.capabilities["mms"]) == (True, False)

        await asyncio.to_thread(alter)


async def test_campaigns_senders_and_verifications_are_those_that_were_seeded() -> None:
    campaign = {"campaign_status": "IN_PROGRESS", "campaign_id": "C1"}
    service = {"friendly_name": "main", "campaigns": [campaign], "short_codes": ["12345"], "alpha_senders": ["Shop"]}
    seed = {"numbers": [{"phone_number": "+18005550100"}], "services": [service]}
    async with holding(**seed, verifications=[{"number": "+18005550100", "status": "IN_REVIEW"}]) as (_, sdk):

        def read() -> None:
            [found] = sdk.messaging.v1.services.list()
            assert [(c.campaign_id, c.campaign_status) for c in found.us_app_to_person.list()] == [
                ("C1", "IN_PROGRESS")
            ]
            assert [c.short_code for c in found.short_codes.list()] == ["12345"]
            assert [s.alpha_sender for s in found.alpha_senders.list()] == ["Shop"]
            [number], [verification] = sdk.incoming_phone_numbers.list(), sdk.messaging.v1.tollfree_verifications.list()
            assert (verification.tollfree_phone_number_sid, verification.status) == (number.sid, "IN_REVIEW")

        await asyncio.to_thread(read)


async def test_the_numbers_are_at_first_the_senders_and_the_account_is_what_it_was_told_to_be() -> None:
    async with simulating(senders=(FIRST, SECOND)) as simulated:
        held = await simulated.get("/_sim/account")
        assert [number["phone_number"] for number in held["numbers"].values()] == [FIRST, SECOND]
        account = await asyncio.to_thread(simulated.sdk.api.v2010.accounts(ACCOUNT).fetch)
        assert (account.sid, account.status, account.type) == (ACCOUNT, "active", "Full")
        await simulated.post("/_sim/account", status="suspended", type="Trial")
        account = await asyncio.to_thread(simulated.sdk.api.v2010.accounts(ACCOUNT).fetch)
        assert (account.status, account.type) == ("suspended", "Trial")


async def test_test_credentials_read_nothing() -> None:
    async with holding(test=True) as (_, sdk):
        assert await asyncio.to_thread(refused, sdk.api.v2010.accounts(ACCOUNT).fetch) == 20008


async def test_a_seed_that_makes_no_sense_is_refused_with_why() -> None:
    async with simulating() as simulated:
        answer = await simulated.http.post(
            "/_sim/account", json={"services": [{"friendly_name": "a", "numbers": [FIRST]}]}
        )
        assert answer.status_code == 400 and "names no number" in answer.json()["error"]
        held = await simulated.get("/_sim/account")
        assert (held["services"], held["described"]) == ({}, False)
        assert (await simulated.http.post("/_sim/account", json={"odd": 1})).status_code == 400


HOOKED = {
    "numbers": [
        {"phone_number": FIRST, "sms_url": "{hook}/first", "sms_fallback_url": "{hook}/first-fallback"},
        {"phone_number": SECOND, "sms_url": "{hook}/second"},
    ],
    "services": [
        {
            "friendly_name": "main",
            "numbers": [SECOND],
            "inbound_request_url": "{hook}/service",
            "fallback_url": "{hook}/service-fallback",
        }
    ],
}


@pytest.mark.parametrize(
    ("to", "own", "paths"),
    [
        (FIRST, False, ["/first", "/first-fallback"]),
        (SECOND, False, ["/service", "/service-fallback"]),
        (SECOND, True, ["/second", "/fallback"]),
        ("+14155550199", False, ["/inbound", "/fallback"]),
    ],
)
async def test_a_text_is_posted_where_the_account_has_it_for_that_number_and_else_as_configured(
    to: str, own: bool, paths: list[str]
) -> None:
    async with simulating() as simulated:
        await simulated.post("/_sim/config", fallback_url=f"{simulated.hook.url}/fallback")
        seed = json.loads(json.dumps(HOOKED).replace("{hook}", simulated.hook.url))
        seed["services"][0]["use_inbound_webhook_on_number"] = own
        await simulated.post("/_sim/account", **seed)
        simulated.hook.answers = [(500, "", b"")]
        heard = await simulated.post("/_sim/inbound", **{"from": "+14155550123", "to": to, "body": "hello"})
        assert heard["url_failed"] and [post.path for post in simulated.hook.posted] == paths
        assert all(post.valid for post in simulated.hook.posted)


async def test_what_is_not_simulated_is_refused_as_twilio_refuses_what_it_does_not_have() -> None:
    async with holding() as (simulated, sdk):
        assert await asyncio.to_thread(refused, sdk.calls("CA" + "0" * 32).fetch) == 20404
        assert await asyncio.to_thread(refused, sdk.incoming_phone_numbers("PN" + "0" * 32).delete) == 20004
        for path, method, status in (("/_sim/craetes", "GET", 404), ("/_sim/creates", "POST", 405)):
            answer = await simulated.http.request(method, path)
            assert (answer.status_code, list(answer.json())) == (status, ["error"])
