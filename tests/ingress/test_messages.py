"""/v1/messages over a real socket: whose key, which rule, and what is on the log when 202 is said."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.config.api_keys import ApiKeys
from app.domain.content.surrogates import WARNING
from app.domain.model.identity import contact_id, message_id
from app.records.requests import MAX_VALUE_BYTES, NotifyRequested, read_request
from tests.support.ingress_server import MESSAGE, PERSON, door, tenant
from tests.support.keyring import ACME_KEY, BETA_KEY, WRONG_KEY, api_key, key_of

KEY = bytes.fromhex("11" * 32)
NEW_KEY = key_of("new")
EVENT = {"to": PERSON, "body": "Build 742 deployed."}


def id_of(to: str, key: str, tenant: str = "acme") -> str:
    return message_id(KEY, tenant, key, contact_id(KEY, tenant, to))


async def test_p4_202_names_the_messages_of_a_request_that_is_on_the_log(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        answer = await made.ask({**EVENT, "to": [PERSON, "+14155550124", "+1 415 555 0123"]}, Idempotency_Key="k1")
        [record] = made.kafka.records
    told = {"message_ids": [id_of(PERSON, "k1"), id_of("+14155550124", "k1")], "idempotency_key": "k1"}
    assert (answer.status_code, answer.json()) == (202, told)
    assert record.topic == "notify.requests.acme"
    given = read_request(record.value)
    assert isinstance(given, NotifyRequested)
    assert (given.tenant, given.idempotency_key, given.body) == ("acme", "k1", EVENT["body"])


KEYS: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "the header": ({"Idempotency_Key": "h"}, {"idempotency_key": "b", "id": "i"}, "h"),
    "the field": ({}, {"idempotency_key": "b", "id": "i"}, "b"),
    "the event's id": ({}, {"id": "i"}, "i"),
}


@pytest.mark.parametrize("name", KEYS)
async def test_the_idempotency_key_is_the_headers_else_the_fields_else_the_events_id(tmp_path: Path, name: str) -> None:
    headers, fields, expected = KEYS[name]
    async with door(tmp_path) as made:
        answer = await made.ask({**EVENT, **fields}, **headers)
        assert [value["idempotency_key"] for value in made.kafka.of("notify.requests.acme")] == [expected]
    assert answer.json() == {"message_ids": [id_of(PERSON, expected)], "idempotency_key": expected}


async def test_media_that_may_fail_at_twilio_are_taken_with_a_warning_by_their_place(tmp_path: Path) -> None:
    media = ["https://example.com/a.png", "https://example.com/b.pdf"]
    async with door(tmp_path) as made:
        answer = await made.ask({**EVENT, "media": media})
        plain = await made.ask({**EVENT, "media": media[:1]})
    assert answer.status_code == 202 and "warnings" not in plain.json()
    assert answer.json()["warnings"] == ["media[1]: is pdf: Twilio takes at most 500 kB of it"]


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\0\0\0\0\1"])
async def test_what_is_read_on_kafka_is_read_here_and_what_was_replaced_is_a_warning(
    tmp_path: Path, before: bytes
) -> None:
    async with door(tmp_path) as made:
        answer = await made.ask(before + b'{"to":"+14155550123","body":"Build \\ud83d"}')
        [value] = made.kafka.of("notify.requests.acme")
    assert (answer.status_code, value["body"]) == (202, "Build \ufffd")
    assert answer.json()["warnings"] == [WARNING]


async def test_without_a_key_one_is_made_and_told_so_that_the_caller_can_repeat(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        first, second = (await made.ask(EVENT)).json(), (await made.ask(EVENT)).json()
        again = (await made.ask(EVENT, Idempotency_Key=first["idempotency_key"])).json()
    assert first["message_ids"] != second["message_ids"]
    assert again == first


async def test_p8_the_records_key_shows_nothing_of_the_callers_idempotency_key(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        for key in (PERSON, PERSON, "another"):
            assert (await made.ask(EVENT, Idempotency_Key=key)).status_code == 202
        keys = [record.key for record in made.kafka.records]
    assert keys[0] == keys[1] != keys[2]
    assert not any(b"4155550123" in key for key in keys)


async def test_p7_a_key_asks_for_its_own_tenant_only(tmp_path: Path) -> None:
    structured = {"specversion": "1.0", "id": "e1", "source": "t", "type": "notify.requested.v1"}
    async with door(tmp_path) as made:
        assert (await made.ask({**EVENT, "tenant": "acme"})).status_code == 202
        for event in ({**EVENT, "tenant": "beta"}, {**structured, "data": {**EVENT, "tenant": "beta"}}):
            answer = await made.ask(event)
            assert (answer.status_code, answer.json()["field"]) == (422, "tenant")
        assert (await made.ask({**structured, "data": EVENT}, BETA_KEY)).status_code == 202
        for name in ("acme", "beta"):
            assert [value["tenant"] for value in made.kafka.of(f"notify.requests.{name}")] == [name]
        last = read_request(made.kafka.records[-1].value)
    assert isinstance(last, NotifyRequested) and (last.tenant, last.idempotency_key) == ("beta", "e1")


async def test_p7_a_tenant_that_is_new_to_a_running_ingress_has_no_requests_taken_before_a_restart(
    tmp_path: Path,
) -> None:
    """Its topic was not looked for, and a record for a topic that is missing would hold up those of all tenants."""
    async with door(tmp_path) as made:
        keys = [api_key(ACME_KEY, "acme"), api_key(NEW_KEY, "new")]
        made.ingress.take({name: tenant(name, f"AC{'7' * 32}") for name in ("acme", "new")}, ApiKeys(keys))
        assert [(await made.ask(EVENT, key)).status_code for key in (ACME_KEY, NEW_KEY)] == [202, 503]


async def test_without_a_known_bearer_key_nothing_is_asked(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        for header in ("", "Bearer", "Bearer wrong", f"Bearer {WRONG_KEY}", f"Basic {ACME_KEY}", ACME_KEY):
            headers = {"Authorization": header, "Content-Type": "application/json"}
            answer = await made.http.post("/v1/messages", content=msgspec.json.encode(EVENT), headers=headers)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
            assert (await made.http.delete(f"/v1/messages/{MESSAGE}", headers=headers)).status_code == 401
        assert made.kafka.records == []


BROKEN: dict[str, tuple[Any, int, str]] = {
    "no JSON": (b"{broken", 400, "value"),
    "not UTF-8": (b'{"to":"\xff"}', 400, "value"),
    "a list": ([1], 400, "value"),
    "nothing": (b"", 400, "value"),
    "nested too deep": (b"[" * 100_000, 400, "value"),
    "too long": ({**EVENT, "metadata": {"a": "x" * MAX_VALUE_BYTES}}, 413, "value"),
    "another type": ({**EVENT, "type": "notify.canceled.v1", "message_id": MESSAGE}, 422, "type"),
    "nobody": ({"body": "x"}, 422, "to"),
    "an impossible number": ({**EVENT, "to": "+1212"}, 422, "to"),
    "an empty list": ({**EVENT, "to": []}, 422, "to"),
    "no body": ({**EVENT, "body": " "}, 422, "body"),
    "media over http": ({**EVENT, "media": ["http://example.com/a.png"]}, 422, "media[0]"),
    "a URL of 2,049 characters": ({**EVENT, "media": ["https://example.com/".ljust(2049, "a")]}, 422, "media[0]"),
    "metadata of 16,001 bytes": (
        {**EVENT, "metadata": {f"{n:04}": "é" * 198 for n in range(40)} | {"a": ""}},
        422,
        "metadata",
    ),
    "an address of 101 characters": ({**EVENT, "to": [PERSON, "+1".ljust(101, "5")]}, 422, "to[1]"),
    "too many recipients for its content": (
        {**EVENT, "to": [f"+1212555{n:04d}" for n in range(1000)], "media": ["https://e.com/".ljust(1980, "a")] * 9},
        422,
        "to",
    ),
    "a time without offset": ({**EVENT, "send_at": "2026-12-01T10:00:00"}, 422, "send_at"),
    "an unknown lane": ({**EVENT, "sender": "nowhere"}, 422, "sender"),
    "an unknown category": ({**EVENT, "category": "spam"}, 422, "category"),
    "another channel": ({**EVENT, "fallback": [{"channel": "email", "address": "a@example.com"}]}, 422, "fallback"),
    "a campaign with an escape": ({**EVENT, "campaign": "\x1b[2J"}, 422, "campaign"),
    "a key with a line end": ({**EVENT, "idempotency_key": "a\n"}, 422, "idempotency_key"),
    "an id with a control character of 8 bits": ({**EVENT, "id": "\x9b2J"}, 422, "id"),
    "a name in metadata with a null": ({**EVENT, "metadata": {"a\x00": "b"}}, 422, "metadata"),
    "a key that is no text": ({**EVENT, "idempotency_key": 7}, 422, "idempotency_key"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_rule_is_named_with_its_field_and_nothing_is_kept(tmp_path: Path, name: str) -> None:
    body, status, field = BROKEN[name]
    async with door(tmp_path) as made:
        answer = await made.ask(body)
        assert made.kafka.records == []
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["field"]) == (status, status, field)
    assert problem["rule"] and "4155550123" not in answer.text


@pytest.mark.parametrize(
    ("to", "rule"),
    [
        ("+49 1512 345678O", "has letters among its digits"),
        ("+1800FLOWERS", "has letters among its digits"),
        (f"{PERSON} ext. 5", "has an extension, which cannot be texted"),
        ("1.4155550123E+10", "was turned into a floating point number by a spreadsheet: format the column as text"),
    ],
)
async def test_what_only_looks_like_a_number_is_refused_with_the_reason(tmp_path: Path, to: str, rule: str) -> None:
    async with door(tmp_path) as made:
        answer = await made.ask({**EVENT, "to": to})
    assert (answer.status_code, answer.json()["field"], answer.json()["rule"]) == (422, "to", rule)


async def test_what_nobody_sees_in_a_number_makes_no_other_message_of_it(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        answer = await made.ask({**EVENT, "to": "+1\u202f415\u200e555\ufe0d0123"}, Idempotency_Key="k")
    assert (answer.status_code, answer.json()["message_ids"]) == (202, [id_of(PERSON, "k")])


async def test_one_bad_number_among_several_does_not_stop_the_others(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        answer = await made.ask({**EVENT, "to": ["+1212", PERSON]}, Idempotency_Key="k")
    assert answer.status_code == 202 and id_of(PERSON, "k") in answer.json()["message_ids"]


async def test_a_request_that_grows_too_long_once_complete_is_refused_not_dropped_later(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        most = {**EVENT, "unknown": ""}
        given = msgspec.json.encode({**most, "unknown": "x" * (MAX_VALUE_BYTES - len(msgspec.json.encode(most)))})
        assert len(given) == MAX_VALUE_BYTES
        answer = await made.ask(given)
        assert (answer.status_code, made.kafka.records) == (413, [])


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_content_type_than_json_is_415(tmp_path: Path, kind: str) -> None:
    async with door(tmp_path) as made:
        assert (await made.ask(EVENT, Content_Type=kind)).status_code == 415


async def test_an_idempotency_key_has_at_most_200_characters(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        assert (await made.ask(EVENT, Idempotency_Key="k" * 200)).status_code == 202
        answer = await made.ask(EVENT, Idempotency_Key="k" * 201)
        assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
        answer = await made.ask(EVENT, Idempotency_Key=b"k\x9b")
        assert (answer.status_code, answer.json()["rule"]) == (422, "holds control characters")
        answer = await made.ask(EVENT, Idempotency_Key="\u00d6l 1".encode())
        assert (answer.status_code, answer.json()["idempotency_key"]) == (202, "\u00d6l 1")


async def test_a_cancel_is_kept_for_its_tenant_and_what_is_no_message_id_is_404(tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {BETA_KEY}"}
    async with door(tmp_path) as made:
        answer = await made.http.delete(f"/v1/messages/{MESSAGE}", headers=headers)
        assert (answer.status_code, answer.json()) == (202, {"message_id": MESSAGE})
        for wrong in ("nonsense", MESSAGE[:-1], MESSAGE + "0", MESSAGE.upper()):
            assert (await made.http.delete(f"/v1/messages/{wrong}", headers=headers)).status_code == 404
        [value] = made.kafka.of("notify.requests.beta")
    assert (value["type"], value["tenant"], value["message_id"]) == ("notify.canceled.v1", "beta", MESSAGE)
