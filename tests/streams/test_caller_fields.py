"""What a caller sends along for itself: sealed on the way, opened for its team alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.tenants import LaneConfig, Tenant
from app.records.caller_fields import CallerFields, encode_caller_fields, open_caller_fields
from app.records.seal import Content, Sealer, UnsealError
from app.streams.agents.caller_fields import SealedCallerFields
from app.streams.monitoring.contained_faults import ContainedFaults
from tests.support.expanding import NUMBERS, caller_fields, inputs_in, record, taken_in
from tests.support.given import MESSAGE

TENANTS = {"default": Tenant(name="default", lanes={"main": LaneConfig(from_number="+15005550006")})}
ALONG = {
    "idempotency_key": "key-kanarie",
    "campaign": "campaign-kanarie",
    "metadata": {"name-kanarie": "value-kanarie"},
}
SEALER = Sealer({"k1": b"s" * 32})
TEXT = st.text(max_size=60)


@pytest.mark.parametrize("to", [NUMBERS[0], NUMBERS[:30], "+1212"], ids=["one", "parked", "refused"])
def test_p8_nothing_that_a_caller_sent_along_is_in_clear_on_a_topic_of_ours(to: Any) -> None:
    outputs = taken_in(record({"to": to, "id": "id-kanarie", **ALONG}), TENANTS)
    assert outputs and not any(b"kanarie" in (part or b"") for o in outputs for part in (o.key, o.value))
    for asked in inputs_in(outputs):
        assert caller_fields(asked) == CallerFields(**ALONG, request_id="id-kanarie")


@given(TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=5), TEXT)
def test_fields_are_opened_as_they_were_sealed_and_take_little_more_room_whatever_they_hold(
    key: str, campaign: str, metadata: dict[str, str], request_id: str
) -> None:
    fields = CallerFields(key, campaign, metadata, request_id)
    texts = (key, campaign, request_id, *metadata, *metadata.values())
    sealed = SEALER.seal(encode_caller_fields(fields), "acme", MESSAGE)
    assert open_caller_fields(SEALER, sealed, "acme", MESSAGE) == fields
    # In base64, with nonce, tag and key id, and at most two bytes of length before each of these texts.
    assert len(sealed) <= 4 * (sum(len(text.encode()) + 2 for text in texts) + 32) // 3 + 8


@pytest.mark.parametrize(
    "sealed",
    [
        SEALER.seal(encode_caller_fields(CallerFields("k")), "acme", f"{MESSAGE}0"),
        SEALER.seal(encode_caller_fields(CallerFields("k")), "other", MESSAGE),
        Sealer({"k1": b"o" * 32}).seal(encode_caller_fields(CallerFields("k")), "acme", MESSAGE),
        Sealer({"retired": b"s" * 32}).seal(encode_caller_fields(CallerFields("k")), "acme", MESSAGE),
        SEALER.seal_content(Content("+14155550123"), "acme", MESSAGE),
        SEALER.seal(b"\x94\xa1\xff\xa0\x80\xa0", "acme", MESSAGE),
        "key-in-clear",
        "",
    ],
    ids=[
        "another message",
        "another tenant",
        "another key",
        "retired key",
        "another seal",
        "no text",
        "no seal",
        "none",
    ],
)
def test_what_cannot_be_opened_is_noted_and_ends_nothing(sealed: str) -> None:
    faults = ContainedFaults()
    assert SealedCallerFields(SEALER, faults)(sealed, "acme", MESSAGE) is None
    assert faults.counts["caller_fields"] == 1
    with pytest.raises(UnsealError):
        open_caller_fields(SEALER, sealed, "acme", MESSAGE)
