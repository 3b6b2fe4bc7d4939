"""From what teams ask for to inputs on the contact's log: what the door refuses and stamps."""

from typing import Any

import msgspec
import pytest

from app.clock import iso
from app.config.tenants import LaneConfig, Tenant
from app.domain.model.inputs import MessageRequested, RequestRejected
from app.domain.model.vocabulary import Reason
from app.streams.agents.recipient_inputs import STRANGER
from app.streams.engine.agent import Headers, Input, Output
from app.streams.engine.overlay import Overlay
from tests.support.expanding import caller_fields, inputs_in, intake_agent

PERSON, STRANGERS = "+14155550123", ("+14155550198", "+14155550199")


def asked(request: dict[str, Any], headers: Headers | None = None, **tenant: Any) -> list[Output]:
    """What one request becomes."""
    return folded(msgspec.json.encode({"type": "notify.requested.v1", "body": "hello", **request}), headers, **tenant)


def folded(value: bytes, headers: Headers | None = None, **tenant: Any) -> list[Output]:
    """What one record becomes."""
    owner = Tenant(
        name="default", lanes={"main": LaneConfig(from_number="+15005550006")}, shared_requests=True, **tenant
    )
    agent = intake_agent({"default": owner})
    overlay = Overlay((), {})
    agent.fold(Input("notify.requests", 0, 7, 1_800_000_000_000, b"", value, headers or []), overlay)
    return overlay.outputs


@pytest.mark.parametrize("people", [[PERSON, *STRANGERS], STRANGERS[0]])
def test_a_sandbox_rejects_strangers_at_the_door_with_a_reason_of_its_own_and_takes_those_on_its_list(people: Any):
    outputs = asked({"to": people}, mode="sandbox", allow=(PERSON,))
    found = inputs_in(outputs)
    said = [(r.reason, r.field, r.rule) for r in found if isinstance(r, RequestRejected)]
    if isinstance(people, str):
        assert said == [(Reason.SANDBOXED, "to", STRANGER)]
    else:
        assert said == [(Reason.SANDBOXED, f"to[{n}]", STRANGER) for n in (1, 2)]
        assert [type(r) for r in found] == [MessageRequested, RequestRejected, RequestRejected]
    assert len(found) == len(outputs), "a stranger is no dead letter"


def test_a_live_tenant_takes_them_all():
    assert {type(record) for record in inputs_in(asked({"to": [PERSON, *STRANGERS]}))} == {MessageRequested}


def test_what_may_go_wrong_with_media_is_stamped_and_no_url_with_it():
    [record] = inputs_in(
        asked({"to": PERSON, "media": ["https://cdn.example.com/a.png", "https://cdn.example.com/secret"]})
    )
    assert isinstance(record, MessageRequested)
    assert [warning.partition(":")[0] for warning in record.warnings] == ["media[1]"]
    assert "secret" not in str(record.warnings)


@pytest.mark.parametrize(
    "broken", [{"to": "+1415"}, {"to": [PERSON, "+1415"]}, {"sender": "nowhere"}, {"body": ""}, {"priority": "soon"}]
)
def test_what_the_caller_sent_along_comes_with_the_rejection_too(broken: dict[str, Any]):
    along = {"metadata": {"order": "A-17"}, "campaign": "spring"}
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    found = inputs_in(asked({"to": PERSON, **along, **broken}, [("traceparent", trace.encode())]))
    [rejected] = [record for record in found if isinstance(record, RequestRejected)]
    fields = caller_fields(rejected)
    assert {"metadata": fields.metadata, "campaign": fields.campaign} == along
    assert rejected.traceparent == trace


@pytest.mark.parametrize("metadata", [{"order": 17}, {"k" * 65: "v"}, {"k": "v" * 501}, [], "text", None])
def test_metadata_that_break_a_rule_do_not_come_with_the_rejection(metadata: Any):
    [rejected] = inputs_in(asked({"to": PERSON, "body": "", "metadata": metadata}))
    assert isinstance(rejected, RequestRejected) and caller_fields(rejected).metadata == {}


def test_more_metadata_than_may_be_do_not_come_with_the_rejection():
    [rejected] = inputs_in(asked({"to": PERSON, "metadata": {f"k{n}": "v" for n in range(51)}}))
    assert isinstance(rejected, RequestRejected) and (rejected.field, caller_fields(rejected).metadata) == (
        "metadata",
        {},
    )


def test_a_request_with_several_bad_numbers_is_one_dead_letter_and_a_rejection_each():
    outputs = asked({"to": ["+1415", PERSON, "nobody", "+1"]})
    [letter] = [msgspec.json.decode(o.value or b"") for o in outputs if o.topic == "notify.deadletters"]
    assert (letter["field"], letter["rule"]) == ("to[0]", "is not a possible phone number")
    assert [r.field for r in inputs_in(outputs) if isinstance(r, RequestRejected)] == ["to[0]", "to[2]", "to[3]"]


def test_what_was_replaced_to_read_a_request_is_stamped_before_what_may_go_wrong_with_its_media():
    value = b'{"type":"notify.requested.v1","to":"+14155550123","body":"\\ud83d","media":["https://a.example/x"]}'
    [record] = inputs_in(folded(value, [("traceparent", None)]))
    assert isinstance(record, MessageRequested) and record.traceparent == ""
    assert [warning.partition(":")[0] for warning in record.warnings] == ["value", "media[0]"]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59"])
def test_times_at_the_ends_of_the_calendar_stay_ones_that_can_be_written(at: str):
    [record] = inputs_in(asked({"to": PERSON, "send_at": at, "expires_at": None}))
    assert isinstance(record, MessageRequested) and iso(record.policy.start_ms)
    [record] = inputs_in(asked({"to": PERSON, "expires_at": at}))
    assert isinstance(record, MessageRequested) and iso(record.policy.expires_ms)


@pytest.mark.parametrize(
    ("named", "source"),
    [
        (b"notify.requests-3-5", "notify.requests-3-5"),
        (b"notify.requests.acme-3-5", "notify.requests-0-7"),
        (b"call-14155550123-1-2", "notify.requests-0-7"),
        (b"nothing", "notify.requests-0-7"),
    ],
)
def test_p8_a_request_is_a_retry_of_a_record_of_its_own_topic_or_of_none(named: bytes, source: str):
    """What else a producer puts into the header would stand in clear wherever the source is named."""
    [found] = inputs_in(asked({"to": PERSON}, [("heliograph-retry-of", named)]))
    assert found.source == source
