"""P7: who may write a tenant's request topic asks and cancels as that tenant, and as no other; on the shared topic as
those that allow it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.tenants import LaneConfig, Tenant
from app.domain.model.identity import contact_id
from app.domain.model.inputs import CancelRequested, MessageRequested, RequestRejected
from app.records.requests import FOREIGN_TENANT, NOT_SHARED
from app.streams.engine.agent import Input, Output
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole
from tests.support.expanding import KEY, LOGGED_MS, NUMBERS, as_read, bulk_agent, intake_agent

PERSON, MESSAGE = "+14155550123", f"{'a' * 20}-{'b' * 20}"
LANES = {"main": LaneConfig(from_number="+15005550006")}
TENANTS = {
    "acme": Tenant(name="acme", lanes=LANES),
    "open": Tenant(name="open", lanes=LANES, shared_requests=True),
    "default": Tenant(name="default", lanes=LANES, shared_requests=True),
}
OWN, SHARED = "notify.requests.acme", "notify.requests"
ContactInputs = MessageRequested | RequestRejected | CancelRequested


def outputs(topic: str, **fields: Any) -> list[Output]:
    """What intake makes of a record on a topic."""
    value = msgspec.json.encode({"type": "notify.requested.v1", "to": PERSON, "body": "hello", **fields})
    overlay = Overlay((), {})
    fold_whole(intake_agent(TENANTS), Input(topic, 0, 7, LOGGED_MS, b"", value, []), overlay)
    return overlay.outputs


def inputs(found: list[Output]) -> list[ContactInputs]:
    return [msgspec.json.decode(o.value or b"", type=ContactInputs) for o in found if o.topic == "contacts"]


def letters(found: list[Output]) -> list[tuple[str, str]]:
    read = [json.loads(o.value or b"") for o in found if o.topic == "notify.deadletters"]
    return [(letter["field"], letter["rule"]) for letter in read]


def cancel(topic: str, **fields: Any) -> list[Output]:
    return outputs(topic, type="notify.canceled.v1", message_id=MESSAGE, **fields)


@pytest.mark.parametrize("named", [{}, {"tenant": "acme"}])
def test_p7_a_request_on_a_tenants_own_topic_is_that_tenants(named: dict[str, str]) -> None:
    found = outputs(OWN, **named)
    [asked] = inputs(found)
    assert isinstance(asked, MessageRequested) and asked.tenant == "acme" and letters(found) == []


@pytest.mark.parametrize("body", ["hello", ""])
@pytest.mark.parametrize("named", ["open", "nobody"])
def test_p7_a_request_that_names_another_tenant_is_rejected_where_its_own_sees_it(named: str, body: str) -> None:
    found = outputs(OWN, tenant=named, body=body)
    [told] = inputs(found)
    assert isinstance(told, RequestRejected) and told.tenant == "acme"
    assert told.message_id.startswith(contact_id(KEY, "acme", PERSON))
    assert letters(found) == [(told.field, told.rule)]
    if body:
        assert letters(found) == [("tenant", FOREIGN_TENANT)]


def test_p7_a_campaign_that_names_another_tenant_is_rejected_where_its_own_sees_it() -> None:
    [parked] = outputs(OWN, to=NUMBERS, tenant="open")
    overlay = Overlay((), {})
    fold_whole(bulk_agent(TENANTS), as_read(parked), overlay)
    assert parked.key == b"acme" and len(inputs(overlay.outputs)) == len(NUMBERS)
    assert {(type(told), told.tenant) for told in inputs(overlay.outputs)} == {(RequestRejected, "acme")}
    assert letters(overlay.outputs) == [("tenant", FOREIGN_TENANT)]


def test_p7_a_parked_request_stays_its_tenants_when_that_is_gone_from_the_tenants_file() -> None:
    [parked] = outputs(OWN, to=NUMBERS)
    overlay, left = Overlay((), {}), {name: one for name, one in TENANTS.items() if name != "acme"}
    fold_whole(bulk_agent(left), as_read(parked), overlay)
    assert inputs(overlay.outputs) == [] and letters(overlay.outputs) == [("tenant", "is not known")]


@pytest.mark.parametrize(("named", "of"), [({}, "default"), ({"tenant": "open"}, "open")])
def test_p7_a_request_on_the_shared_topic_is_of_the_tenant_it_names_if_that_allows_it(named: Any, of: str) -> None:
    for found in (outputs(SHARED, **named), cancel(SHARED, **named)):
        assert [record.tenant for record in inputs(found)] == [of] and letters(found) == []


@pytest.mark.parametrize("fields", [{}, {"to": NUMBERS}, {"sender": "nowhere"}, {"body": ""}])
def test_p7_a_request_on_the_shared_topic_for_a_tenant_that_takes_none_is_a_dead_letter_alone(fields: Any) -> None:
    found = outputs(SHARED, tenant="acme", **fields)
    assert [output.topic for output in found] == ["notify.deadletters"] and letters(found) == [("tenant", NOT_SHARED)]


@pytest.mark.parametrize("named", [{}, {"tenant": "acme"}])
def test_p7_a_cancel_on_a_tenants_own_topic_is_that_tenants(named: dict[str, str]) -> None:
    [asked] = inputs(cancel(OWN, **named))
    assert isinstance(asked, CancelRequested) and (asked.tenant, asked.message_id) == ("acme", MESSAGE)


@pytest.mark.parametrize(("topic", "named", "rule"), [(OWN, "open", FOREIGN_TENANT), (SHARED, "acme", NOT_SHARED)])
def test_p7_a_cancel_as_another_tenant_is_a_dead_letter_alone(topic: str, named: str, rule: str) -> None:
    found = cancel(topic, tenant=named)
    assert [output.topic for output in found] == ["notify.deadletters"] and letters(found) == [("tenant", rule)]


NAMED = st.sampled_from(["acme", "open", "default", "nobody", "", 5, None, ["acme"], "acme\0"])


@settings(deadline=None)
@given(
    topic=st.sampled_from([SHARED, OWN, "notify.requests.open"]),
    named=st.just({}) | st.fixed_dictionaries({"tenant": NAMED}),
    kind=st.sampled_from([{}, {"body": ""}, {"to": "+1415"}, {"type": "notify.canceled.v1", "message_id": MESSAGE}]),
    enveloped=st.booleans(),
)
def test_p7_whatever_a_record_says_it_acts_as_the_tenant_of_its_topic_or_as_one_that_allows_it(
    topic: str, named: dict[str, Any], kind: dict[str, Any], enveloped: bool
) -> None:
    fields = {"to": PERSON, "body": "hello", "type": "notify.requested.v1", **named, **kind}
    event = {"specversion": "1.0", "id": "e1", "source": "t", "type": fields["type"], "data": fields}
    found = outputs(topic, **event) if enveloped else outputs(topic, **fields)
    owner = topic.removeprefix(SHARED).removeprefix(".")
    said = [one for one in ("open", "default") if one == named.get("tenant")]
    # What names no tenant that can be read is of the default one.
    allowed = {owner} if owner else {*said, "default"}
    assert {record.tenant for record in inputs(found)} <= allowed
