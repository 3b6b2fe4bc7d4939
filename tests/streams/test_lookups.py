"""The line type: asked once before a text where the policy says so, kept in the row, in the way of no text but one."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from app.config.settings import Settings
from app.config.tenants import LaneConfig, Tenant
from app.domain.model.contact import Contact
from app.domain.model.events import LineTypeRecorded
from app.domain.model.vocabulary import Category, CreateResult, ErrorClass, LineType, OutcomeWord
from app.domain.rules.line_type import KEPT_MS, lookup_due
from app.provider.http import Timeouts
from app.provider.lookup import TYPES, lookups_of
from app.provider.twilio import TwilioProvider
from app.records.requests import NotifyRequested
from app.streams.agents.policy_resolver import PolicyResolver
from app.streams.monitoring.health import LookupCollector
from tests.support.calling import Exchange
from tests.support.given import abandoned, given, policy, refused, requested, taken, turn
from tests.support.scripted import HANG, http, scripted

ACCOUNT, PERSON = "AC" + "1" * 32, "+14155550123"


def intelligence(kind: Any, code: int | None = None) -> bytes:
    return http(200, json.dumps({"line_type_intelligence": {"type": kind, "error_code": code}}))


async def asked(answer: bytes, timeout_s: float = 5.0) -> tuple[LineType | None, list[str]]:
    async with scripted(lambda _: answer) as server:
        made = TwilioProvider(ACCOUNT, (ACCOUNT, "s"), server.url, Timeouts(timeout_s, timeout_s, timeout_s), 2)
        found = await made.line_type(PERSON)
        await made.close()
    return found, [seen.line for seen in server.seen]


@pytest.mark.parametrize("kind", [*TYPES, "pager"])
async def test_lookup_says_what_kind_of_line_it_is(kind: str) -> None:
    found, lines = await asked(intelligence(kind))
    assert found is TYPES.get(kind, LineType.OTHER)
    assert lines == ["GET /v2/PhoneNumbers/%2B14155550123?Fields=line_type_intelligence HTTP/1.1"]


SILENT = {
    "nothing known": intelligence(None),
    "an error inside": intelligence("mobile", 60601),
    "not asked for": http(200, "{}"),
    "no such number": http(404, '{"code": 20404}'),
    "throttled": http(429, "{}"),
    "broken": http(503, "<html>", kind="text/html"),
    "no JSON": http(200, "<html>"),
    "closed": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
async def test_what_lookup_cannot_tell_is_not_known(name: str) -> None:
    assert (await asked(SILENT[name]))[0] is None


async def test_a_lookup_that_hangs_is_given_up() -> None:
    assert (await asked(HANG))[0] is None


@pytest.mark.parametrize(
    ("base", "lookups"),
    [("", "https://lookups.twilio.com"), ("https://api.dublin.ie1.twilio.com", "https://lookups.dublin.ie1.twilio.com"),
     ("http://127.0.0.1:4010", "http://127.0.0.1:4010"), ("https://api.example.com", "https://api.example.com")],
)  # fmt: skip
def test_it_is_asked_on_twilios_host_for_it_or_on_the_server_that_stands_in(base: str, lookups: str) -> None:
    assert lookups_of(base) == lookups


async def told(line_type: LineType | None) -> Exchange:
    made = Exchange()
    made.wire.said = line_type
    await made.start(look_up=True)
    await made.answer()
    return made


@pytest.mark.parametrize("line_type", [None, *LineType])
async def test_a_landline_is_not_called_and_whatever_else_is_said_the_text_goes(line_type: LineType | None) -> None:
    made = await told(line_type)
    [answer] = made.told
    goes = line_type is not LineType.LANDLINE
    assert (answer.answer, made.wire.count["left"]) == ((CreateResult.TAKEN, 1) if goes else (CreateResult.REFUSED, 0))
    assert answer.line_type is line_type
    assert (answer.error, answer.invalid_after) == ((None, 0) if goes else (ErrorClass.NUMBER_INVALID, 1))
    [sample] = next(iter(LookupCollector(made.lookups).collect())).samples
    assert (sample.labels, sample.value) == ({"tenant": "acme", "result": str(line_type or "failed")}, 1)


async def test_without_the_wish_nobody_is_asked() -> None:
    made = Exchange()
    await made.start()
    await made.answer()
    assert made.told[0].line_type is None and not made.lookups


async def test_a_call_abandoned_after_the_lookup_still_says_what_was_told() -> None:
    made = Exchange()
    made.wire.said = LineType.MOBILE
    await made.start(look_up=True)
    made.boot_s += 6
    await made.answer()
    assert (made.words, made.told[0].line_type) == ([("abandoned", "claim_ttl")], LineType.MOBILE)


def test_what_was_said_is_kept_in_the_row_whatever_became_of_the_call() -> None:
    for answer in (taken(), abandoned(), refused(ErrorClass.THROTTLED)):
        log = given(requested(), turn(), replace(answer, line_type=LineType.MOBILE))
        assert log.contact is not None and log.contact.line_type is LineType.MOBILE
        assert log.contact.line_ms == log.now_ms and len(log.said(LineTypeRecorded)) == 1
    log = given(requested(), turn(), replace(refused(ErrorClass.NUMBER_INVALID), line_type=LineType.LANDLINE))
    assert log.message().word is OutcomeWord.FAILED


def test_it_is_asked_where_the_policy_says_so_and_the_row_does_not_know_or_not_since_long() -> None:
    wish, new = policy(lookup=True), Contact(tenant="acme")
    known = replace(new, line_type=LineType.MOBILE, line_ms=1000)
    assert lookup_due(new, wish, 0) and not lookup_due(new, policy(), 0) and not lookup_due(new, None, 0)
    assert not lookup_due(known, wish, 1000 + KEPT_MS - 1) and lookup_due(known, wish, 1000 + KEPT_MS)


@pytest.mark.parametrize(
    ("before", "media", "wanted"), [("first", [], True), ("mms", [], False), ("mms", ["https://example.com/a"], True)]
)
def test_the_wish_is_by_tenant_and_category(before: Any, media: list[str], wanted: bool) -> None:
    owner = Tenant(name="acme", lanes={"main": LaneConfig(from_number="+15005550006")}, lookup={"marketing": before})
    asked_ = NotifyRequested(to=PERSON, body="x", media=media, category=Category.MARKETING)
    policies = PolicyResolver(Settings.read({}))
    assert policies.resolve(asked_, owner, "main", 0).lookup is wanted
    assert not policies.resolve(replace(asked_, category=Category.OTP), owner, "main", 0).lookup
