"""From a claimed message to the create call: what it bears, and when there is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.create_parameters import Parameters
from app.config.tenants import LaneConfig, Tenant
from app.domain.model.contact import Message
from app.domain.model.vocabulary import Category, ErrorClass, Stage
from app.provider.provider_api import CreateNotSent, CreateRejected, CreateRequest
from app.records.seal import Content, Sealer
from app.streams.sending.create_request import CreateRequestBuilder
from tests.support.given import MESSAGE, START_MS, policy

SEALER = Sealer({"k1": b"s" * 32})
SERVICE, NUMBER, PERSON = "MG" + "0" * 32, "+15005550006", "+14155550123"


def composed(
    lane: LaneConfig | None = None, *, now_ms: int = START_MS, to: str = PERSON, asked: Any = None, **tenant: Any
) -> CreateRequest | CreateRejected | CreateNotSent:
    """The call of attempt 2 of a message to a person, by lane `main`."""
    message = Message(
        id=MESSAGE, tenant="acme", fingerprint="f", stage=Stage.FLYING, masked="", sealed_to="",
        sealed_caller_fields="",
        requested_ms=START_MS, logged_ms=START_MS, policy=policy(**(asked or {})),
        sealed=SEALER.seal_content(Content(to, "hello"), "acme", MESSAGE),
    )  # fmt: skip
    lanes = {"main": lane or LaneConfig(messaging_service_sid=SERVICE)}
    owner = Tenant(name="acme", status_callback_url="https://hooks.example.com/s", lanes=lanes, **tenant)
    return CreateRequestBuilder({"acme": owner}, SEALER, lambda: now_ms).create(message, 2)


def test_by_default_a_call_bears_recipient_content_sender_deadline_and_nothing_else() -> None:
    assert composed() == CreateRequest(
        to=PERSON,
        body="hello",
        media=(),
        status_callback=f"https://hooks.example.com/s?m={MESSAGE}&a=2#rc=5&rp=all",
        messaging_service_sid=SERVICE,
        from_number="",
        validity_s=3600,
    )


@given(st.integers(-(10**9), 10**11))
def test_twilio_is_told_what_is_left_of_the_time_within_what_it_takes_and_nothing_leaves_after_it(left_ms: int) -> None:
    call = composed(asked={"expires_ms": START_MS + left_ms})
    if left_ms <= 0:
        assert call == CreateNotSent(why="expired")
    else:
        assert isinstance(call, CreateRequest) and 1 <= call.validity_s <= 36_000
        assert call.validity_s == 1 or call.validity_s * 1000 <= left_ms


HELD = {"handed_over": True, "start_ms": START_MS + 3_600_000, "expires_ms": START_MS + 5_400_000}


def test_what_twilio_is_to_hold_is_given_to_it_with_its_time_and_what_is_left_from_then_on() -> None:
    call = composed(asked=HELD)
    assert isinstance(call, CreateRequest) and (call.send_at_ms, call.validity_s) == (START_MS + 3_600_000, 1800)
    assert isinstance(here := composed(asked={**HELD, "handed_over": False}), CreateRequest) and here.send_at_ms == 0


@given(st.integers(-2000, 3700))
def test_it_is_never_sent_before_its_time_nor_scheduled_nearer_than_twilio_takes(ahead_s: int) -> None:
    call = composed(asked={**HELD, "expires_ms": START_MS + 8_000_000}, now_ms=START_MS + 3_600_000 - ahead_s * 1000)
    if ahead_s <= 5:  # what clocks may differ by
        assert isinstance(call, CreateRequest) and call.send_at_ms == 0
    elif ahead_s < 900:
        assert call == CreateNotSent(why="too_near")
    else:
        assert isinstance(call, CreateRequest) and call.send_at_ms == START_MS + 3_600_000


def test_a_pinned_sender_goes_beside_its_service() -> None:
    call = composed(LaneConfig(messaging_service_sid=SERVICE, from_number=NUMBER, pinned=True))
    assert isinstance(call, CreateRequest) and (call.messaging_service_sid, call.from_number) == (SERVICE, NUMBER)


def test_what_tenant_and_lane_set_is_borne_and_an_intent_is_that_of_the_category() -> None:
    given_ = Parameters(content_retention="discard", message_intent={"otp": "fraud"}, shorten_urls=True, max_price=0.5)
    lane = LaneConfig(messaging_service_sid=SERVICE, create=Parameters(risk_check="disable"))
    call = composed(lane, create=given_, asked={"category": Category.OTP})
    assert isinstance(call, CreateRequest)
    assert (call.content_retention, call.risk_check, call.max_price) == ("discard", "disable", 0.5)
    assert (call.message_intent, call.shorten_urls) == ("fraud", True)
    other = composed(LaneConfig(from_number=NUMBER), create=given_, asked={"category": Category.MARKETING})
    assert isinstance(other, CreateRequest) and (other.message_intent, other.shorten_urls) == ("", None)


@pytest.mark.parametrize(("to", "goes"), [(PERSON, True), ("+14155550199", False)])
def test_a_sandbox_calls_for_nobody_but_those_on_its_list_whatever_came_past_the_door(to: str, goes: bool) -> None:
    call = composed(to=to, mode="sandbox", allow=(PERSON,))
    assert isinstance(call, CreateRequest) is goes
    assert goes or call == CreateRejected(code=None, error=ErrorClass.SANDBOXED, http_status=0)
