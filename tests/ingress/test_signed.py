"""Who may say what: secrets, shared keys and JSON; tenants by route, account, service and number; what comes twice."""

from pathlib import Path

import httpx
import pytest

from app.config.tenants import LaneConfig
from app.domain.model.identity import contact_id
from app.domain.model.vocabulary import DeliveryStatus
from app.provider.webhook_forms import read_form
from app.provider.webhooks import signature, variants, verified
from app.records.webhooks import RawWebhook
from tests.support.ingress_server import ACME, BETA, MESSAGE, NUMBER, PERSON, PUBLIC, SID, IngressServer, door
from tests.support.wire import exchange, head

KEY = bytes.fromhex("11" * 32)
QUERY = f"?m={MESSAGE}&a=1"
FORM = {"MessageSid": SID, "MessageStatus": "sent", "AccountSid": ACME}
SERVICE = "MG" + "d" * 32
SETTINGS = "X-Twilio-Webhooks-Signature-Settings"


async def sent(made: IngressServer, secret: str, settings: str = "", digest: str = "sha1", **fields: str) -> int:
    form = {**FORM, **fields}
    headers = {"X-Twilio-Signature": signature(secret, f"{PUBLIC}/twilio/status{QUERY}", list(form.items()), digest)}
    answer = await made.post(
        "/twilio/status" + QUERY, form, headers=headers | ({SETTINGS: settings} if settings else {})
    )
    return answer.status_code


async def test_every_live_secret_opens_the_door_and_a_named_shared_key_only_itself(tmp_path: Path) -> None:
    given = {"auth_tokens": ("new", "old"), "shared_keys": {"k1": "shared-one", "k2": "shared-two"}}
    async with door(tmp_path, **given) as made:
        assert [await sent(made, secret) for secret in ("new", "old", "older")] == [204, 204, 403]
        named = "key=k1,algorithm=HMAC_SHA256"
        assert await sent(made, "shared-one", named, "sha256") == 204
        assert await sent(made, "shared-one", named, "sha1") == 403
        assert await sent(made, "shared-two", named, "sha256") == 403
        assert await sent(made, "shared-two", "key=k2", "sha1") == 204
        assert await sent(made, "new", "algorithm=HMAC_SHA3", "sha256") == 403


async def test_a_json_webhook_is_verified_by_its_hash_and_read_as_a_form_is(tmp_path: Path) -> None:
    body = {**FORM, "MessageStatus": "delivered", "ErrorCode": None, "NumSegments": 1}
    async with door(tmp_path) as made:
        assert (await made.json("/twilio/status" + QUERY, body)).status_code == 204
        assert (await made.json("/twilio/status" + QUERY, body, "nobodys-secret")).status_code == 403
        other = await made.json("/twilio/status" + QUERY, body)
        changed = {"content": other.request.content + b" ", "headers": other.request.headers}
        del changed["headers"]["content-length"]
        assert (await made.http.post(other.request.url, **changed)).status_code == 403
        values = made.kafka.of("contacts")
    assert [value["progress"] for value in values] == [DeliveryStatus.DELIVERED, DeliveryStatus.DELIVERED]


async def test_a_form_signed_like_json_is_not_taken_for_it(tmp_path: Path) -> None:
    """Its fields would not be under the signature."""
    async with door(tmp_path) as made:
        answer = await made.json(
            "/twilio/status" + QUERY,
            b"AccountSid=" + ACME.encode(),
            **{"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code == 403 and made.kafka.of("contacts") == []


LANES = {"acme": {"main": LaneConfig(from_number="+15005550001"), "svc": LaneConfig(messaging_service_sid=SERVICE)}}
SENDERS = {
    "the service": {"MessagingServiceSid": SERVICE, "From": "+15005550009"},
    "the number": {"From": "+15005550001"},
    "the number on another channel": {"From": "whatsapp:+15005550001"},
}


@pytest.mark.parametrize("name", SENDERS)
async def test_p7_tenants_that_share_an_account_are_told_apart_by_their_senders(tmp_path: Path, name: str) -> None:
    async with door(tmp_path, account_sid=BETA, lanes=LANES["acme"]) as made:
        assert await sent(made, "token-of-acme", AccountSid=BETA, **SENDERS[name]) == 204
        assert await sent(made, "token-of-beta", AccountSid=BETA, **SENDERS[name]) == 403
        assert await sent(made, "token-of-beta", AccountSid=BETA, From=NUMBER) == 204
        inbound = {"AccountSid": BETA, "To": SENDERS[name]["From"]} | {
            key: value for key, value in SENDERS[name].items() if key != "From"
        }
        assert (await made.text("hello", **inbound)).status_code == 200
        assert [value["tenant"] for value in made.kafka.of("contacts")] == ["acme", "beta", "acme"]


async def test_p7_a_sender_never_outweighs_the_account_of_another_tenant(tmp_path: Path) -> None:
    async with door(tmp_path, lanes=LANES["acme"]) as made:
        assert await sent(made, "token-of-acme", AccountSid=BETA, From="+15005550001") == 403
        assert await sent(made, "token-of-acme", AccountSid="", From="+15005550001") == 204


TOKEN = {"I-Twilio-Idempotency-Token": "0d9a-1"}


async def text(made: IngressServer, body: str, **headers: str) -> httpx.Response:
    form = {"MessageSid": SID, "From": PERSON, "To": NUMBER, "Body": body, "AccountSid": ACME}
    return await made.post("/twilio/inbound", form, headers=headers)


async def test_what_twilio_sends_again_is_answered_as_before_and_put_on_the_log_once(tmp_path: Path) -> None:
    async with door(tmp_path, keyword_replies="heliograph") as made:
        first, again = await text(made, "HELP", **TOKEN), await text(made, "HELP", **TOKEN)
        assert (first.status_code, first.content) == (again.status_code, again.content)
        assert "<Message>" in first.text and len(made.kafka.records) == 1
        # The token is outside the signature: with other content, or none, it is another event.
        assert (await text(made, "STOP", **TOKEN)).is_success and (await text(made, "HELP")).is_success
        assert len(made.kafka.records) == 3 and made.ingress.webhooks.repeated == 1
        assert [value.get("token", "") for value in made.kafka.of("contacts")] == ["0d9a-1", "0d9a-1", ""]


async def test_a_token_that_is_none_is_not_kept_and_one_in_vain_is_no_leave(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        for token in ("x" * 65, "a b", "+14155550123"):
            assert (await text(made, "hello", **{"I-Twilio-Idempotency-Token": token})).is_success
        assert all("token" not in value for value in made.kafka.of("contacts"))
        headers = {**TOKEN, "X-Twilio-Signature": "bm9uc2Vuc2U="}
        assert (await text(made, "hello", **headers)).status_code == 403


async def test_p4_what_was_not_kept_is_not_known_when_it_comes_again(tmp_path: Path) -> None:
    async with door(tmp_path) as made:
        made.kafka.here = False
        (tmp_path / "spool").rmdir()
        (tmp_path / "spool").touch()
        assert [(await text(made, "hello", **TOKEN)).status_code for _ in range(2)] == [503, 503]


async def test_every_field_is_kept_sealed_and_verifies_again(tmp_path: Path) -> None:
    fields = {"ErrorMessage": "no route to +14155550123", "NewField": "ü", "RawDlrDoneDate": "2603031000"}
    async with door(tmp_path) as made:
        await made.report(**fields)
        await made.text("My text", NumSegments="1", FromCity="")
        sealer, (report, inbound) = made.sealer(), made.kafka.of("contacts")
        shown = b"".join(record.value for record in made.kafka.records)
    assert report["carrier_done"] == "2603031000"
    import msgspec

    for value, kind, held in ((report, "status", fields), (inbound, "inbound", {"Body": "My text", "FromCity": ""})):
        raw = msgspec.json.decode(sealer.open(value["raw"], "acme", SID), type=RawWebhook)
        form = read_form(raw.body.encode("latin-1"))
        assert raw.kind == kind and held.items() <= dict(form).items()
        url = f"{PUBLIC}/twilio/{kind}" + (f"?{raw.query}" if raw.query else "")
        assert verified(["token-of-acme"], raw.signature, variants(url), form)
    for secret in (b"4155550123", b"My text", b"no route"):
        assert secret not in shown


FORMS_OF_A_SID = [
    {"SmsSid": SID, "SmsStatus": "delivered"},
    {"MessageSid": SID.replace("SM", "MM"), "MessageStatus": "read"},
]


@pytest.mark.parametrize("fields", FORMS_OF_A_SID)
async def test_older_names_stand_in_alone_and_both_kinds_of_sid_are_known(tmp_path: Path, fields: dict) -> None:
    async with door(tmp_path) as made:
        assert (await made.post("/twilio/status" + QUERY, {"AccountSid": ACME, **fields})).status_code == 204
        [value] = made.kafka.of("contacts")
    assert value["sid"] in fields.values() and value["status"] in fields.values()


@pytest.mark.parametrize("channel", ["", "whatsapp:", "rcs:"])
async def test_a_person_is_one_contact_on_every_channel(tmp_path: Path, channel: str) -> None:
    async with door(tmp_path) as made:
        await made.text("hello", From=f"{channel}{PERSON}", To=f"{channel}{NUMBER}")
        [record] = made.kafka.records
    assert record.key.decode() == contact_id(KEY, "acme", PERSON)


CHUNK, SIGNED = (
    b"10\r\nAccountSid=AC123\r\n",
    {"X-Twilio-Signature": "bm9uc2Vuc2U=", "Content-Type": "application/x-www-form-urlencoded"},
)
HARD = {
    "a chunked body that never ends": (b"1000\r\n" + b"x" * 4096 + b"\r\n", 40, {"Transfer-Encoding": "chunked"}, 413),
    "a length that promises too much": (b"x", 1, {"Content-Length": "99999999999999"}, 413),
    "a body slower than it may be": (b"Body=", 1, {"Content-Length": "100"}, 408),
    "a chunked body slower than it may be": (CHUNK, 1, {"Transfer-Encoding": "chunked"}, 408),
}  # fmt: skip


@pytest.mark.parametrize("name", HARD)
async def test_a_body_without_end_is_refused_and_its_connection_closed(tmp_path: Path, name: str) -> None:
    part, count, headers, status = HARD[name]
    async with door(tmp_path, body_s=0.2) as made:
        answer = await exchange(
            made.http.base_url, head("POST", "/twilio/inbound", {**SIGNED, **headers}), *[part] * count
        )
    assert answer is not None and answer.status_code == status
    assert answer.headers["connection"] == "close"


async def test_a_chunked_body_within_bounds_is_read_as_any_other(tmp_path: Path) -> None:
    form = {"MessageSid": SID, "From": PERSON, "Body": "hello", "AccountSid": ACME}

    async def parts():
        for part in ("MessageSid=" + SID, "&From=%2B14155550123", "&Body=hello&AccountSid=" + ACME):
            yield part.encode()

    async with door(tmp_path) as made:
        headers = {
            **SIGNED,
            "X-Twilio-Signature": signature("token-of-acme", f"{PUBLIC}/twilio/inbound", list(form.items())),
        }
        answer = await made.http.post("/twilio/inbound", content=parts(), headers=headers)
    assert answer.status_code == 200
