"""The simulator's REST API, judged by Twilio's own SDK."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from app.domain.content import segments as ours
from app.simulator import text
from tests.support.simulated import ACCOUNT, NUMBER, PERSON, SERVICE, simulating

LONG = "x" * 1601


async def test_a_create_is_answered_as_twilio_does_and_can_be_fetched():
    async with simulating(step_ms=60_000) as sim:
        made = await sim.create(body="Grüße")
        again = await asyncio.to_thread(sim.sdk.messages(made.sid).fetch)
    assert (made.status, made.num_segments, made.from_, made.direction) == ("queued", "1", NUMBER, "outbound-api")
    assert (again.sid, again.body, again.to, again.account_sid) == (made.sid, "Grüße", PERSON, ACCOUNT)
    assert made.sid.startswith("SM") and len(made.sid) == 34
    assert abs(made.date_created - datetime.now(UTC)) < timedelta(seconds=10)
    assert made.date_sent is None and made.price is None and made.error_code is None


async def test_through_a_service_a_text_is_accepted_first_and_its_sender_chosen_later():
    async with simulating(step_ms=100, senders=("+14155550188",)) as sim:
        made = await sim.create(messaging_service_sid=SERVICE)
        assert (made.status, made.num_segments, made.from_) == ("accepted", "0", None)
        await sent(sim, made.sid)
        again = await asyncio.to_thread(sim.sdk.messages(made.sid).fetch)
    assert (again.from_, again.messaging_service_sid, again.num_segments) == ("+14155550188", SERVICE, "1")


async def sent(sim, sid):
    end = time.monotonic() + 10
    while (await asyncio.to_thread(sim.sdk.messages(sid).fetch)).date_sent is None:
        assert time.monotonic() < end


async def test_a_text_with_media_has_an_mm_sid():
    async with simulating() as sim:
        made = await sim.create(body=None, media_url=["https://example.com/1.png", "https://example.com/2.png"])
        (kept,) = (await sim.get("/_sim/creates"))["creates"]
    assert made.sid.startswith("MM") and made.num_media == "2"
    assert kept["media"] == ["https://example.com/1.png", "https://example.com/2.png"]


REFUSED = [
    ({"from_": "+15005550001"}, 21212),
    ({"from_": "+15005550007"}, 21606),
    ({"from_": "+15005550005"}, 21606),
    ({"from_": "+15005550008"}, 21611),
    ({"to": "+15005550001"}, 21211),
    ({"to": "+15005550002"}, 21612),
    ({"to": "+15005550003"}, 21408),
    ({"to": "+15005550004"}, 21610),
    ({"to": "+15005550009"}, 21614),
    ({"to": ""}, 21604),
    ({"to": "4155550123"}, 21211),
    ({"to": "+1415555012x"}, 21211),
    ({"to": "+12"}, 21211),
    ({"from_": ""}, 21603),
    ({"body": ""}, 21602),
    ({"body": LONG}, 21617),
    ({"media_url": ["https://example.com/a.png"] * 11}, 21623),
    ({"media_url": ["ftp://example.com/a.png"]}, 21620),
    ({"validity_period": 36_001}, 21624),
    ({"status_callback": "http://bad_host/x"}, 21609),
    ({"status_callback": "nowhere"}, 21609),
    ({"messaging_service_sid": SERVICE, "schedule_type": "fixed", "send_at": "soon"}, 35114),
    ({"messaging_service_sid": SERVICE, "schedule_type": "fixed", "send_at": "2020-01-01T00:00:00Z"}, 35115),
]  # fmt: skip
CODES = [code for _, code in REFUSED]


async def test_a_create_that_twilio_refuses_is_refused_with_its_code_and_kept_nowhere():
    async with simulating() as sim:
        for given, code in REFUSED:
            with pytest.raises(TwilioRestException) as refused:
                await sim.create(**given)
            assert (given, refused.value.status, refused.value.code) == (given, 400, code)
        counts, creates = await sim.get("/_sim/calls"), await sim.get("/_sim/creates?count")
    assert counts == {"calls": len(REFUSED), **{f"refused_{code}": n for code, n in Counter(CODES).items()}}
    assert creates == {"count": 0}


@pytest.mark.parametrize("given", [{"body": "x" * 1600}, {"to": "whatsapp:+14155550123"}, {"from_": "+14155550199"}])
async def test_what_is_just_allowed_is_taken(given):
    async with simulating() as sim:
        assert (await sim.create(**given)).status == "queued"


async def test_only_the_account_and_its_api_keys_may_call():
    async with simulating(api_keys={"SK1": "of-the-key"}) as sim:
        assert (await sim.create()).sid
        for user, secret, account, code in (
            ("SK1", "of-the-key", ACCOUNT, None),
            ("SK1", "wrong", ACCOUNT, 20003),
            (ACCOUNT, "wrong", ACCOUNT, 20003),
            ("SK1", "of-the-key", "AC" + "f" * 32, 20404),
        ):
            client = Client(user, secret, account)
            client.api.base_url = sim.url
            try:
                await asyncio.to_thread(client.messages.create, PERSON, from_=NUMBER, body="x")
                assert code is None
            except TwilioRestException as refused:
                assert refused.code == code
            client.http_client.session.close()
        assert (await sim.get("/_sim/creates?count"))["count"] == 2


async def test_a_list_is_newest_first_filtered_and_paged_without_gaps_while_new_texts_arrive():
    async with simulating() as sim:
        sids = [(await sim.create(body=f"{n}")).sid for n in range(7)]
        await sim.create(to="+14155550124")
        stream = await asyncio.to_thread(sim.sdk.messages.stream, to=PERSON, page_size=3)
        seen = [(await asyncio.to_thread(next, stream)).sid]
        await sim.create(body="late")
        seen += [message.sid for message in await asyncio.to_thread(list, stream)]
    assert seen == sids[::-1]


async def test_a_list_by_date_sent_holds_what_was_sent_then():
    async with simulating(step_ms=20) as sim:
        made = await sim.create()
        now = datetime.now(UTC)
        before = await asyncio.to_thread(sim.sdk.messages.list, date_sent_after=now - timedelta(hours=1))
        await sent(sim, made.sid)
        after = await asyncio.to_thread(sim.sdk.messages.list, date_sent_after=now - timedelta(hours=1))
        older = await asyncio.to_thread(sim.sdk.messages.list, date_sent_before=now - timedelta(hours=1))
        later = await asyncio.to_thread(sim.sdk.messages.list, date_sent_after=now + timedelta(hours=1))
        today = await sim.http.get(
            f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?DateSent>={now:%Y-%m-%d}",
            auth=(ACCOUNT, sim.sdk.password),
        )
    assert [len(found) for found in (before, after, older, later)] == [0, 1, 0, 0]
    assert [message["sid"] for message in today.json()["messages"]] == [made.sid]


@pytest.mark.parametrize("query", ["PageSize=0", "PageSize=x", "Page=-1", "PageToken=PAnobody"])
async def test_a_page_that_cannot_be_is_a_400_and_no_500(query):
    async with simulating() as sim:
        path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?{query}"
        answer = await sim.http.get(path, auth=(ACCOUNT, sim.sdk.password))
    assert (answer.status_code, answer.json()["code"]) == (400, 20001)


async def test_a_scheduled_text_can_be_canceled_until_it_goes_and_is_never_called_back():
    async with simulating(schedule_min_s=0.0) as sim:
        soon = datetime.now(UTC) + timedelta(seconds=2)
        given = {"messaging_service_sid": SERVICE, "schedule_type": "fixed", "send_at": soon}
        made, kept = await sim.create(**given), await sim.create(**given)
        assert made.status == "scheduled"
        canceled = await asyncio.to_thread(sim.sdk.messages(made.sid).update, status="canceled")
        assert canceled.status == "canceled"
        await sent(sim, kept.sid)
        with pytest.raises(TwilioRestException) as late:
            await asyncio.to_thread(sim.sdk.messages(kept.sid).update, status="canceled")
    assert late.value.code == 30409
    assert {post.fields["MessageSid"] for post in sim.hook.posted} == {kept.sid}


async def test_a_body_can_be_redacted_and_an_unknown_sid_is_404():
    async with simulating() as sim:
        made = await sim.create()
        assert (await asyncio.to_thread(sim.sdk.messages(made.sid).update, body="")).body == ""
        with pytest.raises(TwilioRestException) as unknown:
            await asyncio.to_thread(sim.sdk.messages("SM" + "0" * 32).fetch)
    assert (unknown.value.status, unknown.value.code) == (404, 20404)


async def test_creates_are_told_in_order_from_any_index():
    async with simulating() as sim:
        sids = [(await sim.create(body=f"{n}")).sid for n in range(3)]
        told = (await sim.get("/_sim/creates?since=1"))["creates"]
        wrong = await sim.http.get("/_sim/creates?since=x")
    assert [(c["sid"], c["idx"], c["body"]) for c in told] == [(sids[1], 1, "1"), (sids[2], 2, "2")]
    assert wrong.status_code == 400


async def test_creates_are_told_page_by_page_and_each_page_names_the_next():
    async with simulating() as sim:
        sids, seen, pages = [(await sim.create(body=f"{n}")).sid for n in range(5)], [], ["/_sim/creates?limit=2"]
        while pages[-1]:
            told = await sim.get(pages[-1])
            seen += [[create["idx"] for create in told["creates"]]]
            pages.append(told["next"])
        whole, later = await sim.get("/_sim/creates?after=2"), await sim.get("/_sim/creates?after=4&limit=2")
        await sim.create()
        followed = await sim.get("/_sim/creates?after=4&limit=2")
    assert seen == [[0, 1], [2, 3], [4]] and pages[1:] == [f"/_sim/creates?after={n}&limit=2" for n in (1, 3)] + [None]
    assert [create["sid"] for create in whole["creates"]] == sids[3:] and "next" not in whole
    assert later == {"count": 5, "creates": [], "next": None}
    assert [create["idx"] for create in followed["creates"]] == [5]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "after=-2", "since=-1", "page=2", "since=1.5"])
async def test_a_page_of_creates_that_cannot_be_is_a_400_with_why(query):
    async with simulating() as sim:
        answer = await sim.http.get(f"/_sim/creates?{query}")
    assert answer.status_code == 400 and query.partition("=")[0] in answer.json()["error"]


async def test_after_a_reset_nothing_is_known():
    async with simulating() as sim:
        await sim.post("/_sim/faults", throttle=1)
        await sim.http.delete("/_sim/faults")
        await sim.create()
        await sim.post("/_sim/inbound", **{"from": PERSON, "body": "STOP"})
        await sim.post("/_sim/reset")
        assert await sim.get("/_sim/creates") == {"count": 0, "creates": []}
        assert (await sim.create()).status == "queued"


@pytest.mark.parametrize(
    "body",
    ["", "hello", "x" * 160, "x" * 161, "€" * 80, "€" * 81, "x" * 306, "x" * 307, "ç" * 70, "ç" * 71, "ж" * 135],
    ids=lambda body: f"{body[:1]}{len(body)}",
)
def test_two_independent_counts_of_segments_agree(body):
    assert text.segments(body) == ours.count(body).parts
