"""How webhooks are signed and retried, judged by the SDK's validator; what waits for a slow one is bounded."""

import asyncio
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulator import webhooks
from app.simulator.config import SimulatorConfig
from app.simulator.webhooks import WebhookSender, overrides
from tests.support.simulated import ACCOUNT, PERSON, TOKEN, eventually, simulating


async def test_webhooks_in_json_carry_the_digest_of_their_body_and_only_the_url_is_signed():
    async with simulating(webhooks="json") as sim:
        await sim.create()
        await eventually(lambda: len(sim.hook.posted) == 3)
        await sim.post("/_sim/inbound", **{"from": PERSON, "body": " Grüße +1 & = ñ\r\n"})
    assert all(post.valid for post in sim.hook.posted)
    assert {post.headers["content-type"] for post in sim.hook.posted} == {"application/json"}
    assert sim.hook.posted[0].path.startswith("/status?m=1&bodySHA256=")
    assert sim.hook.posted[-1].path.startswith("/inbound?bodySHA256=")
    assert sim.hook.posted[-1].fields["Body"] == " Grüße +1 & = ñ\r\n"


@pytest.mark.parametrize("body", ["form", "json"])
async def test_a_shared_key_signs_with_sha256_and_the_auth_token_no_longer_does(body):
    async with simulating(webhooks=body, shared_key="WK1", shared_secret="of-the-key") as sim:
        sim.hook.secret = "of-the-key"
        await sim.post("/_sim/inbound", **{"from": PERSON, "body": "hello"})
        sim.hook.secret = TOKEN
        await sim.post("/_sim/inbound", **{"from": PERSON, "body": "hello"})
        shown = await sim.get("/_sim/config")
    assert [post.valid for post in sim.hook.posted] == [True, False]
    settings = {post.headers["x-twilio-webhooks-signature-settings"] for post in sim.hook.posted}
    assert settings == {"key=WK1,algorithm=HMAC_SHA256"}
    assert "of-the-key" not in str(shown)


def test_a_shared_key_needs_its_secret():
    with pytest.raises(ValueError, match="shared_secret"):
        SimulatorConfig(account_sid=ACCOUNT, auth_token=TOKEN, shared_key="WK1")


async def test_all_tries_of_one_event_carry_one_token_and_another_event_another():
    async with simulating() as sim:
        sim.hook.answers = [(500, "", b"")] * 2
        for _ in range(2):
            await sim.post("/_sim/inbound", **{"from": PERSON, "url": f"{sim.hook.url}/in#rc=2&rp=5xx"})
        told = (await sim.get("/_sim/webhooks"))["webhooks"]
    tokens = [post.headers["i-twilio-idempotency-token"] for post in sim.hook.posted]
    assert tokens[0] == tokens[1] == tokens[2] != tokens[3] and len(tokens) == 4
    assert [(post["try"], post["status"]) for post in told] == [(1, 500), (2, 500), (3, 204), (1, 204)]
    assert [post["headers"]["I-Twilio-Idempotency-Token"] for post in told] == tokens
    assert told[0]["fields"]["From"] == PERSON


async def test_retries_end_when_the_total_time_of_the_url_is_over():
    async with simulating() as sim:
        sim.hook.answers = [(500, "", b"")] * 9
        await sim.post("/_sim/inbound", **{"from": PERSON, "url": f"{sim.hook.url}/in#rc=5&rp=all&tt=500"})
    # After 0.2 s, after 0.6 s ...: the second retry would come too late.
    assert len(sim.hook.posted) in (1, 2)


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("", (1, 5.0, 15.0, 15.0)),
        ("rc=0&ct=100&rt=100&tt=100", (0, 0.1, 0.1, 0.1)),
        ("rc=6&ct=99&rt=15001&tt=x", (1, 5.0, 15.0, 15.0)),
        ("rc=²&ct=-5&tt=", (1, 5.0, 15.0, 15.0)),
        ("rc=5&rp=all&ct=10000&rt=15000&tt=15000", (5, 10.0, 15.0, 15.0)),
    ],
)
def test_overrides_outside_twilios_ranges_are_the_defaults(fragment, expected):
    read = overrides(fragment)
    assert (read.retries, read.connect_s, read.read_s, read.total_s) == expected


async def test_what_waits_for_a_slow_webhook_is_bounded_and_the_oldest_is_dropped():
    config = SimulatorConfig(account_sid=ACCOUNT, auth_token=TOKEN)
    hung = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hung.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    sender = WebhookSender(lambda: config)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    sender._waiting.extend([sender._post(url, {})] * webhooks.MOST_WAITING)
    sender.send(url, {"MessageSid": "the newest"})
    assert len(sender._waiting) == webhooks.MOST_WAITING
    assert sender._waiting[-1].fields == {"MessageSid": "the newest"}
    assert sender.counts["posts_dropped"] == 1
    sender.close()
    hung.set()
    server.close()


@given(st.dictionaries(st.sampled_from(["Body", "To", "MediaUrl0"]), st.text()))
def test_a_form_is_encoded_as_urllib_does(fields):
    assert webhooks.encoded(fields) == urlencode(fields, errors="surrogatepass").encode()
