"""Twilio's webhooks over a real socket: verified over the configured URL, on the log before the answer, nothing leaked."""

from pathlib import Path
from urllib.parse import urlencode

import pytest
from structlog.testing import capture_logs

from app.domain.model.identity import contact_id
from app.provider.webhook_forms import MAX_BODY_BYTES
from tests.support.ingress_server import ACME, BETA, MESSAGE, NUMBER, PERSON, PUBLIC, SID, door

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
KEY = bytes.fromhex("11" * 32)


async def test_p4_a_report_is_answered_204_once_it_is_on_its_contacts_log(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        answer = await made.report(MessageStatus="undelivered", ErrorCode="30003")
        assert (answer.status_code, answer.content) == (204, b"")
        [record] = made.kafka.records
        [value] = made.kafka.of("contacts")
    assert record.key.decode() == MESSAGE.partition("-")[0]
    told = {name: value[name] for name in ("type", "tenant", "message_id", "attempt", "sid", "code", "error")}
    assert told == {
        "type": "contact.reported.v1",
        "tenant": "acme",
        "message_id": MESSAGE,
        "attempt": 1,
        "sid": SID,
        "code": 30003,
        "error": "number_unreachable",
    }
    assert PERSON.encode() not in record.value


@pytest.mark.parametrize(("own", "stamped"), [({}, 5), ({"30003": 2}, 2), ({"30003": 0}, 0)])
async def test_a_report_says_after_how_many_like_it_the_tenant_takes_a_number_for_invalid(
    tmp_path: Path, own: dict[str, int], stamped: int
) -> None:
    async with door(tmp_path, invalid_after=own) as made:
        assert (await made.report(MessageStatus="undelivered", ErrorCode="30003")).status_code == 204
        [value] = made.kafka.of("contacts")
    assert value.get("invalid_after", 0) == stamped


UNPLACED = {
    "without our query": ("", {}, "a"),
    "with an id that is none of ours": ("?m=%2B14155550123&a=1", {}, "m"),
    "with an attempt that is no number": (f"?m={MESSAGE}&a=%C2%B2", {}, "a"),
    "with a status that nobody knows": (f"?m={MESSAGE}&a=1", {"MessageStatus": "teleported"}, "MessageStatus"),
    "without a SID": (f"?m={MESSAGE}&a=1", {"MessageSid": ""}, "MessageSid"),
}


@pytest.mark.parametrize("name", UNPLACED)
async def test_a_signed_report_that_names_no_attempt_is_kept_sealed_as_a_dead_letter(tmp_path: Path, name: str) -> None:
    query, fields, field = UNPLACED[name]
    async with door(tmp_path) as made:
        answer = await made.report(query, **fields)
        [letter] = made.kafka.of("notify.deadletters")
        opened = made.sealer().open(letter["payload"], "", letter["source"])
        shown = made.kafka.records[0].value
    assert answer.status_code == 204 and letter["field"] == field
    assert PERSON.encode() in opened and b'"tenant":"acme"' in opened
    assert b"4155550123" not in shown


async def test_a_signature_is_checked_over_the_configured_url_whatever_host_the_request_names(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        good = await made.report()
        query = f"?m={MESSAGE}&a=2"
        form = {"MessageSid": SID, "MessageStatus": "sent", "AccountSid": ACME}
        forged = await made.post(
            "/twilio/status" + query,
            form,
            signed_url="https://evil.example.com/twilio/status" + query,
            headers={"Host": "evil.example.com"},
        )
        assert (good.status_code, forged.status_code) == (204, 403)
        assert len(made.kafka.of("contacts")) == 1


async def test_a_changed_query_or_field_breaks_the_signature(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        form = {"MessageSid": SID, "MessageStatus": "sent", "AccountSid": ACME}
        signed = f"{PUBLIC}/twilio/status?m={MESSAGE}&a=1"
        moved = await made.post(f"/twilio/status?m={MESSAGE}&a=2", form, signed_url=signed)
        unsigned = await made.http.post(f"/twilio/status?m={MESSAGE}&a=1", content=urlencode(form), headers=FORM)
        assert (moved.status_code, unsigned.status_code) == (403, 403)
        assert made.kafka.records == []


async def test_a_public_url_with_a_query_of_its_own_is_signed_once_with_it(tmp_path: Path) -> None:
    async with door(tmp_path, status_callback_url=f"{PUBLIC}/twilio/status?site=1") as made:
        form = {"MessageSid": SID, "MessageStatus": "sent", "AccountSid": ACME}
        answer = await made.post(f"/twilio/status?site=1&m={MESSAGE}&a=1", form)
    assert answer.status_code == 204


async def test_p7_a_tenants_secret_opens_only_its_own_door(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        query = f"?m={MESSAGE}&a=1"
        form = {"MessageSid": SID, "MessageStatus": "sent", "AccountSid": BETA}
        assert (await made.post("/twilio/status" + query, form, "token-of-acme")).status_code == 403
        assert (await made.post("/twilio/status" + query, form, "token-of-beta")).status_code == 204
        assert [value["tenant"] for value in made.kafka.of("contacts")] == ["beta"]
        named = {**form, "AccountSid": "AC" + "9" * 32}
        public = PUBLIC + "/twilio/status" + query
        for name, status in (("beta", 204), ("acme", 403), ("nobody", 403)):
            path = f"/twilio/{name}/status{query}"
            assert (await made.post(path, named, "token-of-beta", signed_url=public)).status_code == status


async def test_p7_tenants_that_share_an_account_are_told_apart_by_their_routes_only(tmp_path: Path) -> None:
    async with door(tmp_path, account_sid=BETA) as made:
        query = f"?m={MESSAGE}&a=1"
        form = {"MessageSid": SID, "MessageStatus": "sent", "AccountSid": BETA}
        for secret in ("token-of-acme", "token-of-beta"):
            assert (await made.post("/twilio/status" + query, form, secret)).status_code == 403
        public = PUBLIC + "/twilio/status" + query
        assert (await made.post("/twilio/beta/status" + query, form, "token-of-beta", signed_url=public)).is_success


async def test_a_tenant_without_a_public_url_or_token_takes_no_webhook(tmp_path: Path) -> None:
    async with door(tmp_path, status_callback_url="", inbound_url="") as made:
        assert (await made.report()).status_code == 403
    async with door(tmp_path, auth_tokens=("",)) as made:
        form = {"MessageSid": SID, "MessageStatus": "sent", "AccountSid": ACME}
        assert (await made.post(f"/twilio/status?m={MESSAGE}&a=1", form, "")).status_code == 403


async def test_a_bad_request_is_named_as_problem_json_and_never_429_or_plain_text(tmp_path: Path) -> None:
    signed = {"X-Twilio-Signature": "bm9uc2Vuc2U=", **FORM}
    many = "&".join(f"a{n}=1" for n in range(101))
    async with door(tmp_path) as made:
        for method, path, body, headers, status in (
            ("GET", "/twilio/status", "", signed, 405),
            ("POST", "/twilio/inbound", "Body=x", {**signed, "Content-Type": "text/plain"}, 415),
            ("POST", "/twilio/inbound", "[]", {**signed, "Content-Type": "application/json"}, 400),
            ("POST", "/twilio/inbound", "Body=100%", signed, 400),
            ("POST", f"/twilio/inbound?{'x' * 8200}", "Body=x", signed, 400),
            ("POST", "/twilio/inbound", "Body=" + "x" * MAX_BODY_BYTES, signed, 413),
            ("POST", "/twilio/inbound", "Body=%FF", signed, 400),
            ("POST", "/twilio/inbound", many, signed, 400),
            ("POST", "/twilio/inbound", "Body=x", signed, 403),
            ("POST", "/twilio/inbond", "Body=x", signed, 404),
            ("GET", "/nowhere", "", {}, 404),
            ("PUT", "/v1/messages", "", {}, 405),
        ):
            answer = await made.http.request(method, path, content=body, headers=headers)
            assert answer.status_code == status, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status
            assert "allow" in answer.headers or status != 405
        assert made.kafka.records == []


async def test_p4_an_inbound_text_is_answered_with_empty_twiml_of_known_length_once_it_is_sealed_on_the_log(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as made:
        answer = await made.text("See you at 5?\r\n ", MediaUrl0="https://example.com/a.jpg")
        [record] = made.kafka.records
        [value] = made.kafka.of("contacts")
        content = made.sealer().open_content(value["sealed"], "acme", SID)
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/xml"
    assert answer.text.endswith("<Response/>") and answer.headers["content-length"] == str(len(answer.content))
    assert record.key.decode() == contact_id(KEY, "acme", PERSON)
    assert (value["type"], value["intent"]) == ("contact.texted.v1", "none")
    assert (content.to, content.body, content.sender) == (PERSON, "See you at 5?\r\n ", NUMBER)
    assert content.media == ("https://example.com/a.jpg",)
    assert b"4155550123" not in record.value and b"See you" not in record.value


async def test_the_same_person_on_another_channel_has_the_same_log(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        await made.text("hello")
        await made.text("hello", From=f"whatsapp:{PERSON}")
        first, second = made.kafka.records
    assert first.key == second.key


KEYWORDS = {
    "STOP": ("twilio", {}, "stop", "", "twilio"),
    "stop.": ("heliograph", {}, "stop", "", "twilio"),
    "Help": ("heliograph", {}, "help", "Reply STOP &amp; we stop.", "heliograph"),
    "HELP": ("twilio", {}, "help", "", "twilio"),
    "HELP!": ("heliograph", {"OptOutType": "HELP"}, "help", "", "twilio"),
    "aide": ("heliograph", {"OptOutType": "HELP"}, "help", "", "twilio"),
}


@pytest.mark.parametrize("body", KEYWORDS)
async def test_a_keyword_is_answered_by_twilio_or_by_us_and_never_by_both(tmp_path: Path, body: str) -> None:
    replies, fields, intent, said, by = KEYWORDS[body]
    async with door(tmp_path, keyword_replies=replies, help_text="Reply STOP & we stop.") as made:
        answer = await made.text(body, **fields)
        [value] = made.kafka.of("contacts")
    assert value["intent"] == intent and value.get("answered_by", "twilio") == by
    assert (f"<Message>{said}</Message>" in answer.text) if said else ("<Message>" not in answer.text)


@pytest.mark.parametrize(("allow", "told"), [(PERSON, True), ("+14155550199", False)])
async def test_a_sandbox_answers_nobody_but_those_on_its_list(tmp_path: Path, allow: str, told: bool) -> None:
    async with door(tmp_path, keyword_replies="heliograph", mode="sandbox", allow=(allow,)) as made:
        answer = await made.text("HELP")
        [value] = made.kafka.of("contacts")
    assert ("<Message>" in answer.text, value["intent"]) == (told, "help")


async def test_what_failed_at_the_inbound_webhook_is_taken_at_the_fallback(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        answer = await made.text("STOP", "/twilio/fallback", ErrorCode="11200", ErrorUrl=f"{PUBLIC}/twilio/inbound")
        assert answer.text.endswith("<Response/>")
        assert [value["intent"] for value in made.kafka.of("contacts")] == ["stop"]


async def test_a_stop_with_half_an_emoji_counts(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        assert (await made.text("STOP \ud83d")).status_code == 200
        [value] = made.kafka.of("contacts")
        assert value["intent"] == "stop"
        assert made.sealer().open_content(value["sealed"], "acme", SID).body == "STOP \ufffd"


async def test_a_text_from_nobody_is_kept_as_a_dead_letter(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        answer = await made.text("hello", From="")
        assert answer.text.endswith("<Response/>")
        assert [letter["field"] for letter in made.kafka.of("notify.deadletters")] == ["From"]


async def test_p8_a_rejected_webhook_is_logged_without_its_content(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with door(tmp_path) as made:
            form = {"MessageSid": SID, "From": PERSON, "Body": "my secret text", "AccountSid": ACME}
            assert (await made.post("/twilio/inbound", form, "not-the-token")).status_code == 403
    told = [line for line in lines if line["event"] == "webhook.rejected"]
    assert [(line["why"], line["tenant"], line["account"]) for line in told] == [("signature", "acme", ACME)]
    for secret in ("4155550123", "my secret text", "not-the-token", "token-of-acme"):
        assert secret not in repr(lines)


async def test_the_internal_port_counts_answers_by_route_and_status(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        await made.report()
        await made.http.post("/twilio/status", content="a=1", headers=FORM)
        metrics = (await made.http.get(made.internal + "/metrics")).text
        ready = await made.http.get(made.internal + "/readyz")
        public = await made.http.get("/metrics")
    assert 'heliograph_ingress_requests_total{route="status",status="204"} 1.0' in metrics
    assert 'heliograph_ingress_requests_total{route="status",status="403"} 1.0' in metrics
    assert (ready.status_code, public.status_code) == (200, 404)
