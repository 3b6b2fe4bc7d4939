"""From a request with media and a link to the create call of each attempt: the media's own URL never goes as text."""

from typing import Any

import msgspec
import pytest

from app.config.tenants import LaneConfig, Tenant
from app.domain.content.digests import text_digest
from app.domain.model.contact import Attempt, Message
from app.domain.model.identity import contact_id
from app.domain.model.inputs import MessageRequested
from app.domain.model.vocabulary import Stage
from app.records.codec import InvalidFieldError
from app.records.requests import MAX_BODY, read_request
from app.records.seal import Sealer
from app.streams.engine.agent import Input, Output
from app.streams.sending.create_request import CreateRequestBuilder
from tests.support.expanding import intake_agent

PRIVATE, LINK, KEY = "https://example.com/private/build-742.png?token=x", "https://example.com/b/742", b"p" * 32
TENANTS = {
    "acme": Tenant(
        name="acme",
        shared_requests=True,
        lanes={"main": LaneConfig(from_number="+15005550006")},
        status_callback_url="https://hooks.example.com/twilio/acme/status",
    )
}
SEALER = Sealer({"k1": b"s" * 32})
ASKED = {
    "type": "notify.requested.v1",
    "tenant": "acme",
    "to": "+12125550101",
    "body": "Build 742.",
    "media": [PRIVATE],
    "idempotency_key": "k",
}


class Taken:
    """A scope that keeps what is emitted."""

    def __init__(self) -> None:
        self.out: list[Output] = []

    def emit(self, output: Output) -> None:
        self.out.append(output)


def requested(**given: Any) -> MessageRequested:
    agent = intake_agent(TENANTS, SEALER, KEY)
    scope, raw = Taken(), msgspec.json.encode({**ASKED, **given})
    agent.fold(Input("notify.requests", 0, 0, 1_800_000_000_000, None, raw, []), scope)  # type: ignore[arg-type]
    (output,) = scope.out
    return msgspec.json.decode(output.value or b"", type=MessageRequested)


def calls(asked: MessageRequested) -> list[tuple[str, tuple[str, ...]]]:
    """Text and media of the first attempt, and of one without its media."""
    message = Message(
        id=asked.message_id,
        tenant="acme",
        sealed_caller_fields="",
        fingerprint="f",
        stage=Stage.FLYING,
        masked="",
        sealed_to="",
        requested_ms=1,
        logged_ms=1,
        sealed=asked.sealed,
        policy=asked.policy,
        attempts=tuple(Attempt(n=n, claimed_ms=1, claimed_offset=n, plain=n == 2) for n in (1, 2)),
    )
    made = [CreateRequestBuilder(TENANTS, SEALER).create(message, n) for n in (1, 2)]
    return [(call.body, call.media) for call in made]


def test_the_attempt_without_media_is_the_text_with_the_link() -> None:
    assert calls(requested(media_fallback=LINK)) == [("Build 742.", (PRIVATE,)), (f"Build 742. {LINK}", ())]


def test_media_alone_become_the_link_alone() -> None:
    assert calls(requested(body="", media_fallback=LINK))[1] == (LINK, ())


def test_p8_the_private_url_of_media_stands_in_no_text() -> None:
    for given in ({"media_fallback": LINK}, {}):
        assert all(PRIVATE not in body for body, _ in calls(requested(**given)))


def test_segments_and_digest_of_the_text_with_the_link_are_stamped_at_the_door() -> None:
    long, asked = "a" * 150, requested(body="a" * 150, media_fallback=LINK)
    contact = contact_id(KEY, "acme", "+12125550101")
    assert (asked.policy.segments, asked.policy.fallback_segments) == (1, 2)
    assert asked.fallback_digest == text_digest(KEY, contact, f"{long} {LINK}", 0)
    assert LINK not in msgspec.json.encode(asked).decode()


def test_without_media_or_without_a_link_there_is_no_text_to_fall_back_to() -> None:
    for given in ({}, {"media": [], "media_fallback": LINK}):
        asked = requested(**given)
        assert (asked.policy.fallback_segments, asked.fallback_digest) == (0, "")


def test_another_link_under_the_same_key_is_another_payload_and_none_is_as_before() -> None:
    prints = [
        requested(**given).fingerprint for given in ({}, {"media_fallback": LINK}, {"media_fallback": LINK + "x"})
    ]
    assert len(set(prints)) == 3 and requested(media_fallback="").fingerprint == prints[0]


REFUSED = {
    "http://example.com/b": "is not an https URL",
    "https://": "is not an https URL",
    "https://example.com/a b": "is not an https URL",
    PRIVATE: "is one of the media: the link must be one that anybody may open",
    "https://example.com/" + "a" * MAX_BODY: f"makes the text longer than {MAX_BODY} characters",
}


@pytest.mark.parametrize("link", REFUSED, ids=range(len(REFUSED)))
def test_a_link_that_is_none_is_refused_with_the_rule(link: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        read_request(msgspec.json.encode({**ASKED, "media_fallback": link}))
    assert (caught.value.field, caught.value.rule) == ("media_fallback", REFUSED[link])
