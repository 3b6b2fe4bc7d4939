"""People who text in: the signed webhook, Twilio's own STOP list, and what Twilio sends for the answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException

from app.simulator.consent import OptOutRegistry
from tests.support.simulated import ACCOUNT, NUMBER, PERSON, SERVICE, eventually, simulating

OTHER = "+14155550124"


async def texts(sim, body: str, **given):
    return await sim.post("/_sim/inbound", **{"from": PERSON, "body": body, **given})


async def refused(sim, **given) -> int | None:
    try:
        await sim.create(status_callback=None, **given)
    except TwilioRestException as error:
        return error.code
    return None


async def test_an_inbound_text_is_posted_signed_with_twilios_fields_blanks_included():
    async with simulating() as sim:
        heard = await texts(sim, " Status 42 ñ\r\n", media=["https://example.com/a.jpg"], messaging_service=SERVICE)
    (post,) = sim.hook.posted
    assert post.valid and post.path == "/inbound" and heard["status"] == 204
    assert post.fields == {
        "MessageSid": heard["sid"], "SmsSid": heard["sid"], "SmsMessageSid": heard["sid"], "AccountSid": ACCOUNT,
        "From": PERSON, "To": NUMBER, "Body": " Status 42 ñ\r\n", "NumMedia": "1", "NumSegments": "1",
        "MediaUrl0": "https://example.com/a.jpg", "MediaContentType0": "image/jpeg", "SmsStatus": "received",
        "ApiVersion": "2010-04-01", "MessagingServiceSid": SERVICE, "FromCity": "", "FromState": "", "FromZip": "",
        "FromCountry": "", "ToCity": "", "ToState": "", "ToZip": "", "ToCountry": "",
    }  # fmt: skip
    assert heard["sid"].startswith("MM")


@pytest.mark.parametrize("word", ["STOP", "stop", " Unsubscribe ", "REVOKE", "optout"])
async def test_stop_blocks_that_person_at_that_number_until_start(word):
    async with simulating() as sim:
        await texts(sim, word)
        assert await refused(sim) == 21610
        assert await refused(sim, to=OTHER) is None
        assert await refused(sim, from_="+14155550199") is None
        await texts(sim, "Unstop")
        assert await refused(sim) is None


@pytest.mark.parametrize("words", ["STOP PLEASE", "please stop", "", "42"])
async def test_twilio_reads_one_word_only(words):
    async with simulating() as sim:
        await texts(sim, words)
        assert await refused(sim) is None


async def test_a_stop_to_a_number_of_a_service_blocks_the_whole_service():
    async with simulating() as sim:
        await sim.create(messaging_service_sid=SERVICE, status_callback=None)
        await texts(sim, "STOP")
        assert await refused(sim, messaging_service_sid=SERVICE) == 21610
        assert sim.hook.posted[0].fields["MessagingServiceSid"] == SERVICE


async def test_without_advanced_opt_out_no_opt_out_type_is_told():
    async with simulating() as sim:
        await texts(sim, "STOP")
    assert "OptOutType" not in sim.hook.posted[0].fields


async def test_advanced_opt_out_tells_the_type_and_fails_a_blocked_text_of_a_service_after_its_create():
    async with simulating(advanced_opt_out=True) as sim:
        for word in ("Yes", "info", "hello", "STOP"):
            await texts(sim, word, messaging_service=SERVICE)
        assert [post.fields.get("OptOutType") for post in sim.hook.posted] == ["START", "HELP", None, "STOP"]
        made = await sim.create(messaging_service_sid=SERVICE)
        await eventually(lambda: len(sim.hook.posted) == 5)
    assert made.status == "accepted"
    last = sim.hook.posted[-1].fields
    assert (last["MessageSid"], last["MessageStatus"], last["ErrorCode"]) == (made.sid, "failed", "21610")


TWIML = (
    b'<?xml version="1.0"?><Response><Message>A &amp; B</Message><Message to="x"><Body>C</Body></Message></Response>'
)


@pytest.mark.parametrize(
    ("kind", "body", "replies"),
    [
        ("text/xml", TWIML, ["A & B", "C"]),
        ("text/xml; charset=utf-8", b"<Response/>", []),
        ("text/plain", b"OK", ["OK"]),
        ("application/json", b'{"ok": true}', []),
    ],
)
async def test_what_twilio_would_text_for_an_answer_is_told_and_kept(kind, body, replies):
    async with simulating() as sim:
        sim.hook.answers = [(200, kind, body)]
        heard = await texts(sim, "hello")
        path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        kept = (await sim.http.get(path, params={"To": PERSON}, auth=(ACCOUNT, sim.sdk.password))).json()["messages"]
        creates = await sim.get("/_sim/creates?count")
    assert (heard["status"], heard["body"], heard["replies"]) == (200, body.decode(), replies)
    assert [(m["body"], m["direction"]) for m in kept[::-1]] == [(reply, "outbound-reply") for reply in replies]
    assert creates["count"] == 0


async def test_a_reply_to_stop_is_not_sent():
    async with simulating() as sim:
        sim.hook.answers = [(200, "text/xml", TWIML)]
        assert (await texts(sim, "STOP"))["replies"] == []


async def test_when_the_webhook_fails_the_fallback_url_is_asked_and_told_why():
    async with simulating() as sim:
        await sim.post("/_sim/config", fallback_url=f"{sim.hook.url}/fallback")
        sim.hook.answers = [(503, "", b""), (200, "text/xml", TWIML)]
        heard = await texts(sim, "hello")
    first, second = sim.hook.posted
    assert (first.path, second.path, second.valid) == ("/inbound", "/fallback", True)
    assert (second.fields["ErrorCode"], second.fields["ErrorUrl"]) == ("11200", f"{sim.hook.url}/inbound")
    assert (heard["status"], heard["url_failed"], heard["replies"]) == (200, True, ["A & B", "C"])


@pytest.mark.parametrize("wrong", [{"body": "no sender"}, {"from": PERSON, "bdoy": "x"}, {"from": 1}])
async def test_a_person_that_cannot_be_read_is_a_400_and_nothing_is_posted(wrong):
    async with simulating() as sim:
        assert (await sim.http.post("/_sim/inbound", json=wrong)).status_code == 400
        assert sim.hook.posted == []


async def test_without_an_inbound_url_a_text_is_a_400_that_says_so():
    async with simulating(inbound_url="") as sim:
        answer = await sim.http.post("/_sim/inbound", json={"from": PERSON})
    assert answer.status_code == 400 and "--inbound-url" in answer.json()["error"]


async def test_a_stop_to_a_number_of_a_service_holds_for_texts_from_that_number_itself_too():
    async with simulating() as sim:
        await sim.create(messaging_service_sid=SERVICE, status_callback=None)
        await texts(sim, "STOP")
        assert await refused(sim) == 21610
        await texts(sim, "START")
        assert await refused(sim) is None
        assert await refused(sim, messaging_service_sid=SERVICE) is None


async def test_a_stop_to_a_bare_number_leaves_services_and_other_numbers_alone():
    async with simulating() as sim:
        await texts(sim, "STOP", messaging_service="")
        assert await refused(sim) == 21610
        assert await refused(sim, messaging_service_sid=SERVICE) is None


TOLL_FREE = "+18335550188"


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_at_a_toll_free_number_only_start_and_unstop_undo_a_stop(service):
    async with simulating(senders=(TOLL_FREE,), advanced_opt_out=False) as sim:
        given = {"messaging_service_sid": service} if service else {"from_": TOLL_FREE}
        said = {"to": TOLL_FREE, "messaging_service": service}
        assert (await texts(sim, "HELP", **said))["confirmed"].startswith("Reply STOP")
        assert (await texts(sim, "STOP", **said))["confirmed"].startswith("You have successfully been unsub")
        assert (await texts(sim, "YES", **said))["confirmed"] == (await texts(sim, "HELP", **said))["confirmed"] == ""
        assert await refused(sim, **given) == 21610
        assert (await texts(sim, "UNSTOP", **said))["confirmed"].startswith("You have successfully been re-sub")
        assert await refused(sim, **given) is None


async def test_a_stop_to_a_toll_free_number_blocks_it_in_any_service():
    async with simulating(senders=(TOLL_FREE,)) as sim:
        await texts(sim, "STOP", to=TOLL_FREE, messaging_service=SERVICE)
        assert await refused(sim, messaging_service_sid="MG" + "0" * 31 + "8") == 21610


async def test_for_a_short_code_outside_a_service_twilio_handles_nothing():
    async with simulating() as sim:
        heard = await texts(sim, "STOP", to="55501", messaging_service="")
        assert (heard["confirmed"], heard["status"]) == ("", 204)
        assert await refused(sim, from_="55501") is None


async def test_without_a_service_there_is_no_advanced_opt_out():
    async with simulating(advanced_opt_out=True) as sim:
        await texts(sim, "STOP", messaging_service="")
        assert await refused(sim) == 21610
    assert "OptOutType" not in sim.hook.posted[0].fields


async def test_a_webhook_that_nobody_answers_is_told_so_to_the_fallback_url():
    async with simulating() as sim:
        await sim.post("/_sim/config", fallback_url=f"{sim.hook.url}/fallback")
        nowhere = "http://127.0.0.1:9/inbound"
        heard = await texts(sim, "hello", url=nowhere)
    (post,) = sim.hook.posted
    assert (post.fields["ErrorCode"], post.fields["ErrorUrl"], heard["url_failed"]) == ("11205", nowhere, True)


async def test_a_text_of_a_person_can_be_posted_twice_or_never_and_is_listed_all_the_same():
    async with simulating() as sim:
        twice = await texts(sim, "hello", **{"from": "+15005550154"})
        lost = await texts(sim, "STOP", **{"from": "+15005550155"})
        await eventually(lambda: len(sim.hook.posted) == 2)
        path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        kept = (await sim.http.get(path, params={"To": NUMBER}, auth=(ACCOUNT, sim.sdk.password))).json()["messages"]
        assert await refused(sim, to="+15005550155") == 21610
    assert {post.fields["MessageSid"] for post in sim.hook.posted} == {twice["sid"]}
    assert (lost["status"], lost["confirmed"] != "") == (0, True)
    assert [message["sid"] for message in kept] == [lost["sid"], twice["sid"]]


SAID = st.tuples(
    st.sampled_from(["", SERVICE]), st.sampled_from([NUMBER, "+14155550199"]), st.sampled_from(["STOP", "START", "42"])
)


@given(st.lists(SAID, max_size=12))
def test_the_last_stop_or_start_in_a_scope_decides(history):
    known = OptOutRegistry()
    for service, number, word in history:
        known.heard(service, number, PERSON, word)
    for number in (NUMBER, "+14155550199"):
        # Of a bare number: its own stops, and every start that was texted to it.
        own = [word for service, to, word in history if to == number and (word == "START" or not service)]
        assert known.blocked("", number, PERSON) == (last(own) == "STOP")
        assert known.blocked(SERVICE, number, PERSON) == (last(w for s, _, w in history if s) == "STOP")
        assert not known.blocked("", number, OTHER) and not known.blocked(SERVICE, number, OTHER)


def last(words) -> str:
    return next((word for word in reversed(list(words)) if word != "42"), "")
