"""What one request may hold, each limit at its edge: what it becomes is copied to rows, logs and outcomes."""

import json
from typing import Any

import msgspec
import pytest

from app.config.tenants import LaneConfig, Tenant
from app.domain.model.inputs import RequestRejected
from app.records.codec import InvalidFieldError
from app.records.loose_requests import read_loosely
from app.records.requests import (
    MAX_ADDRESS,
    MAX_BODY,
    MAX_FAN_OUT_BYTES,
    MAX_METADATA_BYTES,
    MAX_URL,
    NotifyRequested,
    content_bytes,
    payload_fields,
    read_request,
)
from app.streams.engine.agent import Output
from app.streams.engine.overlay import Overlay
from app.streams.engine.record_fold import fold_whole
from tests.streams.test_intake import PERSON, asked
from tests.support.expanding import as_read, bulk_agent
from tests.support.expanding import inputs_in as inputs

GOOD = {"type": "notify.requested.v1", "to": PERSON, "body": "Build 742 deployed."}


def read(**fields: Any) -> NotifyRequested:
    request = read_request(json.dumps({**GOOD, **fields}).encode())
    assert isinstance(request, NotifyRequested)
    return request


def refused(**fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidFieldError) as bad:
        read(**fields)
    return bad.value.field, bad.value.rule


def url(length: int) -> str:
    return "https://cdn.example.com/".ljust(length, "a")


def metadata(size: int) -> dict[str, str]:
    """Names and values of so many bytes in all, two bytes to a character."""
    full = {f"k{n:02d}": "é" * 248 + "x" for n in range((size - 4) // 500)}
    return full | {"rest": "x" * (size - 500 * len(full) - 4)}


def people(count: int) -> list[str]:
    return [f"+1212555{n:04d}" for n in range(count)]


def test_a_media_url_and_the_link_have_2048_characters_at_most() -> None:
    assert MAX_URL == 2048
    read(media=[url(MAX_URL)])
    assert refused(media=[url(9), url(MAX_URL + 1)]) == ("media[1]", "is longer than 2048 characters")
    # The link goes as text: it shares the text's 1,600 characters.
    assert refused(media=[url(9)], media_fallback=url(MAX_URL), body="")[1].startswith("makes the text longer")
    over = refused(media=[url(9)], media_fallback=url(MAX_URL + 1), body="")
    assert over == ("media_fallback", "is longer than 2048 characters")


def test_metadata_have_16000_bytes_of_utf8_at_most() -> None:
    assert MAX_METADATA_BYTES == 16_000
    assert content_bytes(read(body="b", metadata=metadata(16_000))) == 16_001
    assert refused(metadata=metadata(16_001)) == ("metadata", "has more than 16000 bytes in all")
    loose = read_loosely(json.dumps({**GOOD, "metadata": metadata(16_001)}).encode(), (), "place")
    assert loose is not None and loose.metadata == {}


def test_recipients_times_content_are_8_million_bytes_at_most() -> None:
    assert MAX_FAN_OUT_BYTES == 8_000_000
    whole = {"body": "é" * 800, "metadata": metadata(6_350), "media": [url(50)]}
    assert content_bytes(read(**whole)) == 8_000
    named = {"id": "i" * 9, "idempotency_key": "é" * 9, "campaign": "c" * 9}
    assert content_bytes(read(**whole, **named)) == 8_036
    assert len(read(to=people(1000), **whole).to) == 1000
    field, rule = refused(to=people(1000), **{**whole, "body": "é" * 800 + "x"})
    assert (field, "8000000" in rule) == ("to", True)
    read(to=people(999), **{**whole, "body": "é" * 800 + "x"})


def test_an_address_has_100_characters_at_most_and_a_longer_one_is_left_out_of_the_rejections() -> None:
    read(to="+1".ljust(MAX_ADDRESS, "5"))
    long = "+1".ljust(MAX_ADDRESS + 1, "5")
    assert refused(to=long) == ("to", "is longer than 100 characters")
    assert refused(to=[PERSON, long]) == ("to[1]", "is longer than 100 characters")
    outputs = asked({"to": [PERSON, long]})
    assert [type(record) for record in inputs(outputs)] == [RequestRejected]
    assert len(outputs) == 2, "and the dead letter"


def test_what_one_request_becomes_stays_near_that_limit_whatever_is_asked() -> None:
    """Also where every recipient breaks a rule: the dead letter, which holds the whole request, is written once."""
    junk = {"unknown": [{"channel": "c" * 200, "address": "a" * 200}] * 1900}
    for request in (
        {"to": people(1000), "body": "b" * MAX_BODY, "metadata": metadata(6_350), "media": [url(50)]},
        {"to": [f"+{n}" for n in range(1000)], **junk},
        {"to": people(1000), "body": "", **junk},
    ):
        [parked] = asked(request)
        outputs = expanded(parked)
        assert len(inputs(outputs)) == 1000
        assert sum(len(output.value or b"") for output in outputs) < 2 * MAX_FAN_OUT_BYTES
        letters = [msgspec.json.decode(o.value or b"") for o in outputs if o.topic == "notify.deadletters"]
        assert len(letters) <= 1
        assert request["to"][0] != "+0" or letters[0]["field"] == "to[0]"


def expanded(parked: Output) -> list[Output]:
    overlay = Overlay((), {})
    lanes = {"main": LaneConfig(from_number="+15005550006")}
    fold_whole(
        bulk_agent({"default": Tenant(name="default", shared_requests=True, lanes=lanes)}), as_read(parked), overlay
    )
    return overlay.outputs


def test_what_a_refused_request_may_not_repeat_to_so_many_is_not_given_back_to_them():
    asked = {
        "type": "notify.requested.v1",
        "metadata": {f"k{n}": "x" * 480 for n in range(30)},
        "to": [f"+1201555{n:04d}" for n in range(1000)],
    }
    many, few = (
        read_loosely(msgspec.json.encode(asked | {"to": asked["to"][:count]}), [], "t-0-0", "default")
        for count in (1000, 10)
    )
    assert many is not None and few is not None
    assert (len(many.recipients), many.metadata) == (1000, {}) and few.metadata == asked["metadata"]


def test_the_same_instant_in_another_offset_asks_for_the_same():
    utc, local = (read(send_at=at) for at in ("2027-12-02T00:00:00Z", "2027-12-02T01:00:00+01:00"))
    assert payload_fields(utc) == payload_fields(local)
    assert payload_fields(utc) != payload_fields(read(send_at="2027-12-02T01:00:00Z"))
