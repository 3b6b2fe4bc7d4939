"""What bites people, each found by its name on a simulated account, over real sockets; and nothing on a good one."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest

from app.config import twilio_account
from app.config.tenants import LaneConfig, Tenant
from app.internal_server import InternalServer
from app.provider.account.account_checks import check, look_at_urls
from app.provider.account.account_reader import read_account
from app.provider.account.desired_state import overridden
from app.provider.account.findings import REMEDIES, Finding, Name, shown
from app.provider.account.sdk_client import SdkClient, UnansweredCallError
from app.simulator.config import SimulatorConfig
from app.simulator.control import build
from tests.support.simulated import ACCOUNT, SERVICE, TOKEN, WebhookReceiver

HOOKS = "https://hooks.example.com/twilio/acme"
LONG, FREE, OTHER = "+14155550100", "+18885550100", "+14155550101"
KEY, SECRET = "SK" + "0" * 31 + "1", "secret-of-tests"
GOOD = {
    "sid": SERVICE,
    "friendly_name": "main",
    "inbound_request_url": f"{HOOKS}/inbound#rc=5&rp=all",
    "fallback_url": "https://elsewhere.example.com/twilio/acme/fallback#rc=5&rp=all",
    "numbers": [LONG],
    "campaigns": [{"campaign_id": "C1", "us_app_to_person_usecase": "MIXED"}],
}
MAIN = twilio_account.ServiceConfig(sid=SERVICE, fallback_url="https://elsewhere.example.com/twilio/acme/fallback")


def tenant(url: str, **given: Any) -> Tenant:
    defaults: dict[str, Any] = {
        "name": "acme",
        "account_sid": ACCOUNT,
        "auth_tokens": (TOKEN,),
        "status_callback_url": f"{HOOKS}/status",
        "inbound_url": f"{HOOKS}/inbound",
        "api_base_url": url,
        "lanes": {"main": LaneConfig(messaging_service_sid=SERVICE)},
        "services": {"main": MAIN},
    }
    return Tenant(**{**defaults, **given})


async def found(seed: dict[str, Any], **given: Any) -> list[Finding]:
    numbers = [{"phone_number": LONG}, {"phone_number": FREE}, {"phone_number": OTHER, "sms": False}]
    service = {**GOOD, **seed.pop("service", {})}
    async with region(TOKEN) as url, httpx.AsyncClient(base_url=url) as http:
        told = await http.post("/_sim/account", json={"numbers": numbers, "services": [service], **seed})
        assert told.status_code == 200, told.text
        findings = await check(tenant(url, **given))
        assert (await http.get("/_sim/account")).json()["changes"] == 0, "a check wrote"
    return findings


@asynccontextmanager
async def region(token: str) -> AsyncIterator[str]:
    """One of Twilio's regions, where the account has this token. As with Twilio, each region has tokens of its own."""
    config = SimulatorConfig(account_sid=ACCOUNT, auth_token=token, api_keys={KEY: SECRET} if token == TOKEN else {})
    served = InternalServer(build(config), "127.0.0.1", 0)
    await served.listening()
    yield served.url
    await served.stop()


def pinned(number: str) -> dict[str, Any]:
    return {"lanes": {"main": LaneConfig(from_number=number)}, "services": {}}


def with_main(**given: Any) -> dict[str, Any]:
    return {"services": {"main": msgspec.structs.replace(MAIN, **given)}}


OWN = {
    "sms_url": f"{HOOKS}/inbound#rc=5&rp=all",
    "sms_fallback_url": f"{HOOKS}/fallback#rc=5&rp=all",
}


def hotline(number: str) -> dict[str, Any]:
    return {"numbers": {"hotline": twilio_account.NumberConfig(number=number)}}


# What is seeded and what the file says, beside the good; what is found, where.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], Name, str]] = {
    "a token of another account": ({}, {"auth_tokens": ("other",)}, Name.TOKEN_NOT_OF_ACCOUNT, "auth_tokens[0]"),
    "an old token beside a good one": ({}, {"auth_tokens": (TOKEN, "old")}, Name.TOKEN_DEAD, "auth_tokens[1]"),
    "an account that is not there": ({}, {"account_sid": "AC" + "f" * 32}, Name.TOKEN_NOT_OF_ACCOUNT, "auth_tokens[0]"),
    "a key that is none": (
        {},
        {"api_key_sid": KEY, "api_key_secret": "wrong"},
        Name.API_KEY_REFUSED,
        "api_key_sid",
    ),
    "a server of another account": ({"answers_as": "AC" + "e" * 32}, {}, Name.ACCOUNT_OTHER, "account_sid"),
    "test credentials": ({"test": True}, {}, Name.ACCOUNT_TEST, "auth_tokens[0]"),
    "a suspended account": ({"status": "suspended"}, {}, Name.ACCOUNT_SUSPENDED, "account_sid"),
    "a trial account": ({"type": "Trial"}, {}, Name.ACCOUNT_TRIAL, "account_sid"),
    "a callback in clear": (
        {},
        {"status_callback_url": "http://hooks.example.com/status"},
        Name.URL_HTTP,
        "status_callback_url",
    ),
    "another inbound URL": (
        {"service": {"inbound_request_url": "https://old.example.com/in#rc=5"}},
        {},
        Name.URL_MISMATCH,
        f"lanes.main ({SERVICE}).inbound_request_url",
    ),
    "another status callback": (
        {"service": {"status_callback": "https://old.example.com/status#rc=5"}},
        {},
        Name.URL_MISMATCH,
        f"lanes.main ({SERVICE}).status_callback",
    ),
    "a webhook by GET": (
        {"service": {"inbound_method": "GET"}},
        {},
        Name.URL_METHOD,
        f"lanes.main ({SERVICE}).inbound_method",
    ),
    "no fallback": (
        {"service": {"fallback_url": None}},
        {},
        Name.FALLBACK_MISSING,
        f"lanes.main ({SERVICE}).fallback_url",
    ),
    "no retries": (
        {"service": {"inbound_request_url": f"{HOOKS}/inbound"}},
        {},
        Name.RETRIES_MISSING,
        f"lanes.main ({SERVICE}).inbound_request_url",
    ),
    "no inbound URL": (
        {"service": {"inbound_request_url": None}},
        {},
        Name.INBOUND_OFF,
        f"lanes.main ({SERVICE}).inbound_request_url",
    ),
    "a service that is not there": ({"services": []}, {"services": {}}, Name.SERVICE_UNKNOWN, "lanes.main"),
    "a service not made yet": (
        {},
        {"services": {"main": MAIN, "more": twilio_account.ServiceConfig()}},
        Name.SERVICE_NOT_MADE,
        "services.more.sid",
    ),
    "a service without senders": ({"service": {"numbers": []}}, {}, Name.SERVICE_EMPTY, f"lanes.main ({SERVICE})"),
    "a number of another account": (
        {"service": {"numbers": []}},
        pinned("+14155550109"),
        Name.NUMBER_UNKNOWN,
        "lanes.main.from_number",
    ),
    "a number that cannot text": (
        {"service": {"numbers": [LONG, OTHER]}},
        {},
        Name.NUMBER_NOT_SMS,
        f"lanes.main ({SERVICE}) •••0101",
    ),
    "a number in no service": (
        {"numbers": [{"phone_number": LONG, **OWN}], "service": {"numbers": []}},
        pinned(LONG),
        Name.NUMBER_IN_NO_SERVICE,
        "lanes.main.from_number",
    ),
    "a number whose webhook is not set": (
        {"numbers": [{"phone_number": FREE}], "service": {"numbers": []}, "verifications": [{"number": FREE}]},
        pinned(FREE),
        Name.URL_MISSING,
        "lanes.main.from_number.sms_url",
    ),
    "a number whose webhook is an application": (
        {
            "numbers": [{"phone_number": FREE, "sms_application_sid": "AP" + "0" * 32}],
            "service": {"numbers": []},
            "verifications": [{"number": FREE}],
        },
        pinned(FREE),
        Name.URL_APPLICATION,
        "lanes.main.from_number.sms_application_sid",
    ),
    "a declared number with another webhook": (
        {
            "numbers": [
                {"phone_number": LONG},
                {"phone_number": OTHER, **OWN, "sms_url": "https://b.example.com/in#rc=5"},
            ]
        },
        hotline(OTHER),
        Name.URL_MISMATCH,
        "numbers.hotline.sms_url",
    ),
    "a declared number without a fallback": (
        {"numbers": [{"phone_number": LONG}, {"phone_number": OTHER, "sms_url": OWN["sms_url"]}]},
        hotline(OTHER),
        Name.FALLBACK_MISSING,
        "numbers.hotline.sms_fallback_url",
    ),
    "a declared number of a service that calls its own webhooks": (
        {"numbers": [{"phone_number": LONG, **OWN, "sms_url": "https://b.example.com/in#rc=5"}]},
        hotline(LONG),
        Name.URL_MISMATCH,
        "numbers.hotline.sms_url",
    ),
    "a declared number of another account": (
        {},
        hotline("+14155550109"),
        Name.NUMBER_UNKNOWN,
        "numbers.hotline.number",
    ),
    "a pinned number in another service": (
        {"service": {"numbers": [LONG]}},
        {"lanes": {"main": LaneConfig(messaging_service_sid=SERVICE, from_number=FREE)}},
        Name.NUMBER_IN_NO_SERVICE,
        "lanes.main.from_number",
    ),
    "a declared URL that the door does not verify": (
        {"service": {"inbound_request_url": "https://b.example.com/in#rc=5"}},
        with_main(inbound_url="https://b.example.com/in"),
        Name.URL_MISMATCH,
        "services.main.inbound_url",
    ),
    "no campaign": ({"service": {"campaigns": []}}, {}, Name.CAMPAIGN_MISSING, f"lanes.main ({SERVICE})"),
    "a campaign not approved": (
        {"service": {"campaigns": [{"campaign_status": "IN_PROGRESS"}]}},
        {},
        Name.CAMPAIGN_NOT_APPROVED,
        f"lanes.main ({SERVICE})",
    ),
    "another campaign": ({}, with_main(campaign="C2"), Name.CAMPAIGN_DIFFERS, f"lanes.main ({SERVICE}).campaign"),
    "another use case": ({}, with_main(use_case="2FA"), Name.CAMPAIGN_DIFFERS, f"lanes.main ({SERVICE}).use_case"),
    "a toll-free number without verification": (
        {"service": {"numbers": [FREE]}},
        {},
        Name.TOLL_FREE_NOT_VERIFIED,
        f"lanes.main ({SERVICE}) •••0100",
    ),
    "a toll-free number in review": (
        {"service": {"numbers": [FREE]}, "verifications": [{"number": FREE, "status": "IN_REVIEW"}]},
        {},
        Name.TOLL_FREE_NOT_VERIFIED,
        f"lanes.main ({SERVICE}) •••0100",
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_bites_is_found_by_its_name_and_nothing_else_is(case: str) -> None:
    seed, given, name, where = CASES[case]
    assert [(finding.name, finding.where) for finding in await found(dict(seed), **given)] == [(name, where)]


@pytest.mark.parametrize(
    ("seed", "given"),
    [
        ({}, {}),
        ({}, {"api_key_sid": KEY, "api_key_secret": SECRET}),
        ({}, with_main(campaign="C1", use_case="MIXED")),
        ({"service": {"numbers": [FREE]}, "verifications": [{"number": FREE}]}, {}),
        ({"service": {"numbers": [], "short_codes": ["12345"]}}, {}),
        ({"service": {"status_callback": f"{HOOKS}/status#rc=5&rp=all"}}, {}),
        ({}, {"lanes": {"main": LaneConfig(messaging_service_sid=SERVICE, from_number=LONG)}}),
        ({"service": {"numbers": [LONG], "fallback_url": f"{HOOKS}/fallback#rc=5"}}, pinned(LONG)),
        (
            {"numbers": [{"phone_number": FREE, **OWN}], "services": [], "verifications": [{"number": FREE}]},
            pinned(FREE),
        ),
        ({"numbers": [{"phone_number": LONG}, {"phone_number": OTHER, **OWN}]}, hotline(OTHER)),
    ],
)
async def test_nothing_is_found_where_all_is_well(seed: dict[str, Any], given: dict[str, Any]) -> None:
    assert await found(dict(seed), **given) == []


async def test_what_is_wrong_with_a_service_is_told_once_whatever_lanes_lead_to_it() -> None:
    main, number = LaneConfig(messaging_service_sid=SERVICE), LaneConfig(from_number=LONG)
    one = LaneConfig(messaging_service_sid=SERVICE, from_number=LONG, pinned=True)
    lanes = {"lanes": {"number": number, "main": main, "one": one, "again": main}}
    seed = {"service": {"fallback_url": None, "campaigns": []}}
    told = [(finding.name, finding.where) for finding in await found(seed, **lanes)]
    where = f"lanes.main ({SERVICE})"
    assert sorted(told) == [(Name.CAMPAIGN_MISSING, where), (Name.FALLBACK_MISSING, f"{where}.fallback_url")]


@pytest.mark.parametrize("service", [{"numbers": []}, {"fallback_url": None, "campaigns": []}])
async def test_what_is_wrong_with_a_number_is_told_once_whatever_lanes_send_from_it(service: dict[str, Any]) -> None:
    lanes = {"lanes": {"main": LaneConfig(from_number=LONG), "more": LaneConfig(from_number=LONG)}, "services": {}}
    told = [(finding.name, finding.where) for finding in await found({"service": service}, **lanes)]
    alone = await found({"service": service}, **pinned(LONG))
    assert told == [(finding.name, finding.where) for finding in alone] and len(told) == len(set(told)) == 2


async def test_two_numbers_of_one_service_tell_once_what_is_wrong_with_it_and_each_what_is_wrong_with_itself() -> None:
    lanes = {"free": LaneConfig(from_number=FREE), "long": LaneConfig(from_number=LONG)}
    seed = {"service": {"numbers": [LONG, FREE], "fallback_url": None, "campaigns": []}}
    told = [(finding.name, finding.where.split(".")[1]) for finding in await found(seed, lanes=lanes, services={})]
    assert told == [
        (Name.TOLL_FREE_NOT_VERIFIED, "free"),
        (Name.FALLBACK_MISSING, "free"),
        (Name.CAMPAIGN_MISSING, "long"),
    ]


def test_the_advice_on_an_application_is_not_to_apply_what_a_plan_refuses() -> None:
    assert "heliograph twilio apply" in REMEDIES[Name.URL_MISMATCH]
    assert (
        "apply" not in REMEDIES[Name.URL_APPLICATION] and "off the number at Twilio" in REMEDIES[Name.URL_APPLICATION]
    )


async def test_every_lane_that_leads_to_no_service_is_told() -> None:
    lane = LaneConfig(messaging_service_sid=SERVICE)
    told = await found({"services": []}, lanes={"main": lane, "more": lane})
    assert [(one.name, one.where) for one in told] == [(Name.SERVICE_UNKNOWN, f"lanes.{n}") for n in ("main", "more")]


async def test_a_token_of_another_region_is_told_as_such() -> None:
    async with region("another") as here, region(TOKEN) as there:
        [finding] = await check(tenant(here), {"us1": here, "ie1": there})
    assert (finding.name, finding.where, finding.problem) == (
        Name.REGION_WRONG,
        "auth_tokens[0]",
        "is good in ie1 only",
    )


async def test_a_key_of_another_region_is_told_as_such() -> None:
    async with region("another") as here, region(TOKEN) as there:
        keys = {"auth_tokens": ("another",), "api_key_sid": KEY, "api_key_secret": SECRET}
        [finding] = await check(tenant(here, **keys), {"us1": here, "ie1": there})
    assert (finding.name, finding.where) == (Name.REGION_WRONG, "api_key_sid")


async def test_a_token_that_is_good_in_no_region_is_none_of_the_account() -> None:
    async with region("another") as here, region("third") as there:
        [finding] = await check(tenant(here), {"us1": here, "ie1": there})
    assert finding.name == Name.TOKEN_NOT_OF_ACCOUNT


async def test_credentials_are_shown_to_no_other_server_than_a_region() -> None:
    async with region(TOKEN) as here, region("other") as there, httpx.AsyncClient() as http:
        await check(tenant(here, auth_tokens=("other",)), {"ie1": there})
        assert (await http.get(f"{there}/_sim/account")).json()["asked"] == 0


@pytest.mark.parametrize("host", ["messaging.twilio.com", "twilio.com", "api.ie2.twilio.com", "api.a.b.c.twilio.com"])
def test_a_host_of_twilios_that_is_no_region_is_found(host: str) -> None:
    assert [f.name for f in look_at_urls(tenant(f"https://{host}"))] == [Name.REGION_UNKNOWN]


@pytest.mark.parametrize(
    "url", ["", "https://api.twilio.com", "https://api.dublin.ie1.twilio.com", "http://127.0.0.1:1"]
)
def test_a_region_or_a_server_of_ones_own_is_none(url: str) -> None:
    assert list(look_at_urls(tenant(url))) == []


async def test_a_server_that_is_not_there_is_found_once_for_each_token() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        findings = await check(tenant(f"http://127.0.0.1:{taken.getsockname()[1]}"))
    assert [finding.name for finding in findings] == [Name.TWILIO_UNREACHABLE]


async def test_a_fault_of_twilios_is_told_by_its_code() -> None:
    hook = WebhookReceiver()
    hook.answers = [(500, "application/json", b'{"code": 20500, "message": "oops", "status": 500}')]
    served = InternalServer(hook, "127.0.0.1", 0)
    await served.listening()
    [finding] = await check(tenant(served.url))
    await served.stop()
    assert (finding.name, finding.problem) == (Name.TWILIO_REFUSES, "http 500 (20500)")


async def test_p8_what_twilio_said_in_words_is_in_no_finding() -> None:
    async with region(TOKEN) as url, SdkClient(ACCOUNT, (ACCOUNT, "wrong"), url) as line:
        with pytest.raises(UnansweredCallError) as caught:
            await read_account(line, ACCOUNT)
    assert (caught.value.status, caught.value.code, str(caught.value)) == (401, 20003, "http 401 (20003)")


def test_every_name_has_something_to_do() -> None:
    assert set(REMEDIES) == set(Name) and all(REMEDIES.values())


def test_overrides_are_added_once_and_a_password_in_a_url_is_hidden() -> None:
    url = "https://user:pass@hooks.example.com/in?x=1"
    assert overridden(url) == f"{url}#rc=5&rp=all" == overridden(overridden(url)) and overridden("") == ""
    assert shown(f"{url}#rc=5") == "https://***@hooks.example.com/in?x=1#rc=5"
