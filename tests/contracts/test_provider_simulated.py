"""The provider against the simulator: the same contract that Twilio's documentation gives, judged from our side."""

from typing import Any

import pytest

from app.domain.model.vocabulary import DeliveryStatus, ErrorClass, LineType
from app.provider.http import Timeouts
from app.provider.provider_api import CreateAccepted, CreateRejected, CreateRequest, CreateUnknown, Result
from app.provider.twilio import TwilioProvider
from app.provider.webhooks import variants, verified
from tests.support.simulated import ACCOUNT, NUMBER, PERSON, SERVICE, TOKEN, RunningSimulator, eventually, simulating

# Twilio's test credentials page: what these numbers answer.
MAGIC_TO = {
    "+15005550001": (21211, ErrorClass.NUMBER_INVALID),
    "+15005550002": (21612, ErrorClass.SENDER_UNREACHABLE),
    "+15005550003": (21408, ErrorClass.SENDER_UNREACHABLE),
    "+15005550004": (21610, ErrorClass.OPTED_OUT),
    "+15005550009": (21614, ErrorClass.NUMBER_INVALID),
}
OURS, MUTE = "+14155550100", "+14155550101"
MAGIC_FROM = {
    "+15005550001": (21212, ErrorClass.CONFIGURATION),
    "+15005550007": (21606, ErrorClass.CONFIGURATION),
    "+15005550008": (21611, ErrorClass.THROTTLED),
}


async def send(simulated: RunningSimulator, token: str = TOKEN, timeout_s: float = 5.0, **given: Any) -> Result:
    defaults = {
        "to": PERSON,
        "body": "Build 742 deployed.",
        "media": (),
        "status_callback": f"{simulated.hook.url}/status?m=x&a=1#rc=5&rp=all",
        "messaging_service_sid": "",
        "from_number": NUMBER,
        "validity_s": 600,
    }
    provider = TwilioProvider(ACCOUNT, (ACCOUNT, token), simulated.url, Timeouts(timeout_s, timeout_s, timeout_s), 5)
    try:
        return await provider.create(CreateRequest(**{**defaults, **given}), lambda: None)
    finally:
        await provider.close()


async def creates(simulated: RunningSimulator) -> list[dict[str, Any]]:
    return (await simulated.get("/_sim/creates"))["creates"]


@pytest.mark.parametrize("to", MAGIC_TO)
async def test_a_magic_recipient_is_refused_with_its_class(to: str) -> None:
    code, error = MAGIC_TO[to]
    async with simulating() as simulated:
        assert await send(simulated, to=to) == CreateRejected(code=code, error=error, http_status=400)
        assert await creates(simulated) == []


@pytest.mark.parametrize("sender", MAGIC_FROM)
async def test_a_magic_sender_is_refused_with_its_class(sender: str) -> None:
    code, error = MAGIC_FROM[sender]
    async with simulating() as simulated:
        assert await send(simulated, from_number=sender) == CreateRejected(code=code, error=error, http_status=400)


ACCOUNT_HELD = {
    "numbers": [{"phone_number": OURS, "mms": False}, {"phone_number": MUTE, "sms": False}],
    "services": [{"friendly_name": "empty", "sid": SERVICE}],
}
SET_UP = [
    ({"messaging_service_sid": SERVICE, "from_number": ""}, 21704, ErrorClass.CONFIGURATION),
    ({"messaging_service_sid": "MG" + "f" * 32, "from_number": ""}, 21701, ErrorClass.CONFIGURATION),
    ({"from_number": NUMBER}, 21660, ErrorClass.CONFIGURATION),
    ({"from_number": MUTE}, 21606, ErrorClass.CONFIGURATION),
    ({"from_number": OURS, "media": ("https://example.com/a.png",)}, 21621, ErrorClass.MMS_IMPOSSIBLE),
]  # fmt: skip


@pytest.mark.parametrize(("given", "code", "error"), SET_UP)
async def test_a_sender_that_the_account_does_not_have_is_refused_with_its_class(
    given: dict[str, Any], code: int, error: ErrorClass
) -> None:
    async with simulating() as simulated:
        await simulated.post("/_sim/account", **ACCOUNT_HELD)
        assert await send(simulated, **given) == CreateRejected(code=code, error=error, http_status=400)


async def test_wrong_credentials_are_a_fault_of_set_up() -> None:
    async with simulating() as simulated:
        refused = await send(simulated, token="another")
    assert refused == CreateRejected(code=20003, error=ErrorClass.CONFIGURATION, http_status=401)


async def test_through_a_service_a_text_is_accepted_and_from_a_number_queued_and_a_picture_has_an_mm_sid() -> None:
    async with simulating() as simulated:
        service = await send(simulated, messaging_service_sid=SERVICE, from_number="")
        picture = await send(simulated, media=("https://example.com/a.png",), body="")
    assert isinstance(service, CreateAccepted) and isinstance(picture, CreateAccepted)
    assert (service.sid[:2], service.progress, service.segments) == ("SM", DeliveryStatus.ACCEPTED, 0)
    assert (picture.sid[:2], picture.progress) == ("MM", DeliveryStatus.QUEUED)


async def test_the_callbacks_come_to_the_url_that_the_call_gave_signed_so_that_our_check_accepts_them() -> None:
    async with simulating() as simulated:
        taken = await send(simulated)
        await eventually(lambda: "delivered" in simulated.hook.statuses)
    assert isinstance(taken, CreateAccepted)
    for post in simulated.hook.posted:
        assert post.path == "/status?m=x&a=1" and post.fields["MessageSid"] == taken.sid
        urls = variants(simulated.hook.url + post.path)
        assert verified([TOKEN], post.headers["x-twilio-signature"], urls, tuple(post.fields.items()))


FAULTS = {
    "throttle": (CreateRejected(code=20429, error=ErrorClass.THROTTLED, http_status=429), 0),
    "error_500": (CreateUnknown(why="http 500", http_status=500), 0),
    "accept_then_500": (CreateUnknown(why="http 500", http_status=500), 1),
    "accept_then_timeout": (CreateUnknown(why="TimeoutError"), 1),
    "timeout": (CreateUnknown(why="TimeoutError"), 0),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_p2_a_call_that_may_have_been_taken_is_in_doubt_whether_it_was_or_not(fault: str) -> None:
    expected, taken = FAULTS[fault]
    async with simulating() as simulated:
        await simulated.post("/_sim/faults", **{fault: 1.0, "hold_ms": 2000})
        assert await send(simulated, timeout_s=0.5) == expected
        assert len(await creates(simulated)) == taken


LINES = {
    PERSON: LineType.MOBILE,
    "+15005550104": LineType.LANDLINE,
    "+15005550160": LineType.NON_FIXED_VOIP,
    "+18005550100": LineType.TOLL_FREE,
    "+15005550161": None,  # no coverage
    "+15005550162": None,  # no answer
    "+15005550163": None,  # 429
    "+15005550165": None,  # 503
}


async def test_lookup_reaches_the_server_that_stands_in_for_twilio_and_what_fails_there_is_not_known() -> None:
    async with simulating() as simulated:
        provider = TwilioProvider(ACCOUNT, (ACCOUNT, TOKEN), simulated.url, Timeouts(0.5, 0.5, 0.5), 5)
        assert {number: await provider.line_type(number) for number in LINES} == LINES
        await provider.close()
        counts = await simulated.get("/_sim/calls")
    assert (counts["lookups"], counts["lookups_billed"]) == (len(LINES), 4)
