"""Every field of a request is acted on, or refused as not supported: nothing is taken and then ignored."""

from typing import Any

import msgspec
import pytest

from app.config.tenants import LaneConfig, Tenant
from app.domain.model.inputs import MessageRequested, RequestRejected
from app.streams.engine.agent import Output
from tests.support.expanding import SEALER, caller_fields, inputs_in, record, taken_in
from tests.support.judged import schema

LANES = {"main": LaneConfig(from_number="+15005550006"), "other": LaneConfig(from_number="+15005550007")}
TENANTS = {name: Tenant(name=name, lanes=LANES, shared_requests=True) for name in ("default", "acme")}
PICTURE, LINK = "https://example.com/a.png", "https://example.com/a"
# Another value than the default for each field, and what must stand beside it.
SAID: dict[str, tuple[Any, dict[str, Any]]] = {
    "to": ("+14155550124", {}),
    "id": ("e1", {}),
    "tenant": ("acme", {}),
    "idempotency_key": ("k1", {}),
    "body": ("Build 743 deployed.", {}),
    "media": ([PICTURE], {}),
    "media_fallback": (LINK, {"media": [PICTURE]}),
    "category": ("otp", {}),
    "priority": ("urgent", {}),
    "sender": ("other", {}),
    "send_at": ("2027-03-03T10:00:00Z", {}),
    "expires_at": ("2027-03-03T10:00:00Z", {}),
    "campaign": ("spring", {}),
    "metadata": ({"build": "743"}, {}),
}
REFUSED = {"fallback": [{"channel": "email", "address": "a@example.com"}]}
# For readers of the topic alone, as the description says (CloudEvents: time).
TOLD = {"at": "2027-03-03T10:00:00Z"}
GOOD = {"to": "+14155550123", "body": "Build 742 deployed."}


def outputs(**fields: Any) -> list[Output]:
    """What intake makes of a request."""
    return taken_in(record({**GOOD, **fields}), TENANTS)


def meant(**fields: Any) -> list[dict[str, Any]]:
    """What the contact log is told, opened: each sealing is another one."""
    found = []
    for asked in inputs_in(outputs(**fields)):
        assert isinstance(asked, MessageRequested)
        content = SEALER.open_content(asked.sealed, asked.tenant, asked.message_id)
        to = SEALER.open_content(asked.sealed_to, asked.tenant, asked.message_id)
        opened = {"sealed": content, "sealed_to": to, "sealed_caller_fields": caller_fields(asked)}
        found.append({**msgspec.to_builtins(asked), **opened})
    return found


def test_every_field_of_the_schema_has_a_case_here() -> None:
    assert set(schema("notify.requested.v1")["properties"]) == {"type", *SAID, *REFUSED, *TOLD}


@pytest.mark.parametrize("field", SAID)
def test_a_field_that_is_taken_changes_what_is_done(field: str) -> None:
    value, beside = SAID[field]
    assert meant(**beside) == meant(**beside), "the comparison says nothing"
    assert meant(**{**beside, field: value}) != meant(**beside)


@pytest.mark.parametrize("field", REFUSED)
def test_a_field_that_is_not_supported_is_refused_by_name(field: str) -> None:
    [rejected] = inputs_in(outputs(**{field: REFUSED[field]}))
    assert isinstance(rejected, RequestRejected)
    assert rejected.field == field and rejected.rule.startswith("is not supported yet")
    assert meant(**{field: []}) == meant()


@pytest.mark.parametrize("field", TOLD)
def test_a_field_that_is_for_readers_alone_says_so(field: str) -> None:
    assert meant(**{field: TOLD[field]}) == meant()
    [described] = [one for one in schema("notify.requested.v1")["properties"][field]["anyOf"] if "description" in one]
    assert "for readers of the topic" in described["description"]
